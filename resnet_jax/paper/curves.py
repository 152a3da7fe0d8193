"""Figs. 1, 4 and 6: errors over training, and where their curves end."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resnet_jax.paper import figures, published
from resnet_jax.paper.context import (
  PERCENT,
  Context,
  against,
  how_of,
  key_of,
  label_of,
)
from resnet_jax.paper.document import (
  Block,
  Cell,
  Table,
)
from resnet_jax.paper.selection import Selected


def fig1(context: Context) -> list[Block]:
  """Plain nets on CIFAR-10, training error on the left."""

  def panels(curves: list[figures.Curve]) -> list[figures.Panel]:
    return [
      figures.Panel('training error', curves, ('train',)),
      figures.Panel('test error', curves, ('test',)),
    ]

  return curves(context, panels, published.FIGURE1, dashed=False)


def fig4(context: Context) -> list[Block]:
  """Plain and residual nets on ImageNet."""
  return curves(
    context, by_kind, published.FIGURE4, ylim=(20, 60), dashed=False
  )


def fig6(context: Context) -> list[Block]:
  """All nets on CIFAR-10."""

  def panels(curves: list[figures.Curve]) -> list[figures.Panel]:
    shallow = [c for c in curves if c.depth < 1000]
    deep = [c for c in curves if c.depth >= 110 and 'ResNet' in c.label]
    return [*by_kind(shallow), figures.Panel('very deep', deep)]

  return curves(context, panels, published.FIGURE6)


def by_kind(curves: list[figures.Curve]) -> list[figures.Panel]:
  """Plain nets on the left, residual nets on the right."""
  kinds = {'plain nets': 'plain', 'residual nets': 'ResNet'}
  return [
    figures.Panel(title, [c for c in curves if c.label.startswith(word)])
    for title, word in kinds.items()
  ]


def curves(
  context: Context,
  panels: Callable[[list[figures.Curve]], list[figures.Panel]],
  ends: Mapping[published.Key, published.Curve],
  **style: Any,
) -> list[Block]:
  """The figure, if anything is there to draw, and the ends of its curves."""
  figure = curve_figure(context, panels, ends, **style)
  return [*figure, _ends(context, ends)]


def curve_figure(
  context: Context,
  panels: Callable[[list[figures.Curve]], list[figures.Panel]],
  ends: Mapping[published.Key, published.Curve],
  **style: Any,
) -> list[Block]:
  """The figure alone; nothing where no run has left its curves."""
  there = [one for one in context.selected if one.records]
  lines = [curve_of(one, ends) for one in there]
  lines = [line for line in lines if line.train or line.test]
  if not lines:
    return []
  test = 'validation' if there[0].records[0].split != 'test' else 'test'

  def draw(stem: pathlib.Path) -> None:
    figures.error_curves(
      panels(lines), stem, test_name=test, note=context.note, **style
    )

  try:
    return [
      context.figure(
        draw,
        f'Curves of training and {test} error over steps, of '
        f'{", ".join(line.label for line in lines)}.',
        f'Thin: training error; bold: {test} error; where there are several '
        'seeds, their mean in a band from the least to the greatest.'
        + _paper_mark(there, ends),
      )
    ]
  except ValueError as e:  # seeds that share no step
    context.problems.append(f'The figure cannot be drawn: {e}')
    return []


def _paper_mark(
  there: Sequence[Selected], ends: Mapping[published.Key, published.Curve]
) -> str:
  if any(_paper_end(one, ends) is not None for one in there):
    return " Triangles: where the paper's curves end."
  return ''


def curve_of(
  one: Selected, ends: Mapping[published.Key, published.Curve]
) -> figures.Curve:
  """A network's curves, with where the paper's ends, if they compare."""

  def points(split: str) -> list[list[tuple[float, float]]]:
    return [
      record.curves[split] for record in one.records if split in record.curves
    ]

  split = one.records[0].split
  if split not in one.records[0].curves:
    split = 'validation'
  return figures.Curve(
    label_of(one),
    points('train'),
    points(split),
    one.member.depth,
    _paper_end(one, ends),
  )


def _paper_end(
  one: Selected, ends: Mapping[published.Key, published.Curve]
) -> float | None:
  """Where the paper's curve ends, if ours is of the same length and data."""
  end = ends.get(key_of(one))
  if end is None or one.records[0].departures or end.test.relation != '=':
    return None
  return end.test.value


def _ends(
  context: Context, ends: Mapping[published.Key, published.Curve]
) -> Table:
  ours = {key_of(one): one for one in context.selected}
  rows = []
  for key, end in ends.items():
    one = ours.get(key)
    there = one.records if one else ()
    train = [r.train_error for r in there if r.train_error is not None]
    rows.append(
      [
        Cell(end.method),
        *against(end.test, [record.error_in_loop for record in there]),
        *against(end.training, train),
        Cell(how_of(one, there)),
      ]
    )
  first = next(iter(ends.values()))
  return Table(
    f'Where the curves end; {PERCENT}',
    [
      'network',
      'test: paper',
      'ours',
      'difference',
      'training: paper',
      'ours',
      'difference',
      'ours is',
    ],
    rows,
    [
      f"The paper's are {first.source}, {first.uncertainty}. Training errors "
      'are of augmented images, while the weights change.',
      *context.missing(),
    ],
  )
