"""Degradation and its cure on the digits: curves, numbers, and a verdict."""

from resnet_jax.paper import degradation
from resnet_jax.paper.context import (
  PERCENT,
  Context,
  how_of,
  label_of,
)
from resnet_jax.paper.curves import by_kind, curve_figure
from resnet_jax.paper.document import (
  Block,
  Cell,
  Command,
  Paragraph,
  Table,
  mean_std,
  number,
)
from resnet_jax.paper.response_sections import responses


def digits(context: Context) -> list[Block]:
  """In the style of Figs. 6 and 7, with a paragraph on what they show."""
  there = [one for one in context.selected if one.records]
  if not there:
    return [
      Paragraph('Nothing has been run yet. It takes minutes:'),
      Command(context.command('run')),
    ]
  errors: dict[str, dict[int, list[float]]] = {'plain': {}, 'resnet': {}}
  rows = []
  for one in context.selected:
    kind = 'plain' if 'plain' in one.member.network else 'resnet'
    train = [r.train_error for r in one.records if r.train_error is not None]
    test = [r.error for r in one.records]
    if train:
      errors[kind][one.member.depth] = train
    rows.append(
      [
        Cell(label_of(one)),
        Cell(mean_std(train), 'ours' if train else 'missing'),
        Cell(mean_std(test), 'ours' if test else 'missing'),
        Cell(', '.join(number(x) for x in train), 'number'),
        Cell(how_of(one, test)),
      ]
    )
  every = there[0].records[0].run.configuration().run.log_every
  if len({one.departures for one in there}) > 1:
    verdict = (
      'Nothing can be said about degradation: these nets were trained '
      'differently.'
    )
  else:
    verdict = degradation.verdict(errors['plain'], errors['resnet'])
    if there[0].departures:
      verdict += f' (These runs are shrunk: {there[0].departures}.)'
  return [
    Paragraph(verdict),
    *curve_figure(context, by_kind, {}),
    Table(
      f'At the end of training; {PERCENT}',
      ['network', 'training', 'test', 'training, by seed', 'ours is'],
      rows,
      [
        f'Training errors are of the last {every} steps, while the weights '
        f'change.',
        *context.missing(),
      ],
    ),
    *responses(context, '-responses'),
  ]
