"""Figs. 1, 4, 6 and 7 as Markdown: curves, and where they end."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resnet_jax.paper import figures, published
from resnet_jax.paper.figures import Curve, Panel, ResponseSeries
from resnet_jax.paper.markdown import MISSING, escape, mean_std, number, strong
from resnet_jax.paper.published import printed_name
from resnet_jax.paper.records import Record
from resnet_jax.paper.results import LayerResponses
from resnet_jax.paper.runs import depth_of
from resnet_jax.paper.section import Section, Selected, how_of, name_of
from resnet_jax.paper.tables import against, band_of

_Ends = Mapping[str, published.CurveEnd]
_POOLING = {
  'all': 'one deviation over images, positions and channels',
  'channels': 'the mean of the deviations of channels',
}


def fig1(section: Section) -> list[str]:
  """Plain nets on CIFAR-10, training error on the left."""

  def panels(curves: list[Curve]) -> list[Panel]:
    return [
      Panel('training error', curves, ('train',)),
      Panel('test error', curves, ('test',)),
    ]

  ends = {key: published.FIGURE6[key] for key in ('plain-20', 'plain-56')}
  source = 'digitised from Fig. 1 to about 0.1'
  return [
    *error_figure(section, panels, ends),
    *_ends_table(section, ends, source),
  ]


def fig4(section: Section) -> list[str]:
  """Plain and residual nets on ImageNet."""
  ends, source = published.FIGURE4, 'digitised from Fig. 4 to about 0.2'
  return [
    *error_figure(section, by_kind, ends, ylim=(20, 60)),
    *_ends_table(section, ends, source, split='validation'),
  ]


def fig6(section: Section) -> list[str]:
  """All nets on CIFAR-10."""

  def panels(curves: list[Curve]) -> list[Panel]:
    shallow = [c for c in curves if c.depth < 1000]
    deep = [c for c in curves if c.depth >= 110 and 'ResNet' in c.label]
    return [*by_kind(shallow), Panel('very deep', deep)]

  ends = published.FIGURE6
  source = 'digitised from Fig. 6 to about 0.1; a bound is from its caption'
  return [
    *error_figure(section, panels, ends),
    *_ends_table(section, ends, source),
  ]


def by_kind(curves: list[Curve]) -> list[Panel]:
  """Plain nets on the left, residual nets on the right."""
  kinds = {'plain nets': 'plain', 'residual nets': 'ResNet'}
  return [
    Panel(title, [c for c in curves if c.label.startswith(word)])
    for title, word in kinds.items()
  ]


def error_figure(
  section: Section,
  panels: Callable[[list[Curve]], list[Panel]],
  ends: _Ends,
  **options: Any,
) -> list[str]:
  """The figure; nothing where no run has left its curves."""
  there = [one for one in section.selected if one.records]
  curves = [_curve_of(one, ends) for one in there]
  curves = [curve for curve in curves if curve.train or curve.test]
  if not curves:
    return []
  first = [one.records[0] for one in there]
  splits = {_tested(record) for record in first if _tested(record)}
  test = ' or '.join(sorted(splits)) or 'test'
  triangles = ''
  if any(curve.paper_end is not None for curve in curves):
    triangles = " Triangles: where the paper's curves end."
  try:
    return section.figure(
      lambda stem, note: figures.error_curves(
        panels(curves), stem, test_name=test, note=note, **options
      ),
      f'Curves of training and {test} error over steps, of '
      f'{", ".join(curve.label for curve in curves)}.',
      f'Thin: training error; bold: {test} error; where there are several '
      f'seeds, their mean in a band from the least to the greatest.{triangles}',
      label=section.training_label,
    )
  except ValueError as e:  # seeds that share no step
    section.problems.append(f'The figure cannot be drawn: {e}')
    return []


def _curve_of(one: Selected, ends: _Ends) -> Curve:
  """A network's curves, with where the paper's ends, if they compare."""

  def points(split: str) -> list[list[tuple[float, float]]]:
    return [r.curves[split] for r in one.records if split in r.curves]

  name = name_of(one)
  end = ends[name].test if name in ends and not one.departures else None
  return Curve(
    name,
    points('train'),
    points(_tested(one.records[0])),
    one.member.depth,
    end if isinstance(end, float) else None,
  )


def _tested(record: Record) -> str:
  """The split that the curves have beside training; '' if they have none."""
  splits = (record.split, 'validation')
  return next((split for split in splits if split in record.curves), '')


def _ends_table(
  section: Section, ends: _Ends, source: str, *, split: str = 'test'
) -> list[str]:
  ours, rows = section.by_name, []
  bands = published.REPRODUCTIONS_CIFAR10
  others = any(name in bands for name in ends)
  for name, end in ends.items():
    one = ours.get(name)
    there = one.records if one else ()
    train = [r.train_error for r in there if r.train_error is not None]
    band = [band_of(bands.get(name))] if others else []
    tested = _end(end.test, [record.error_in_loop for record in there])
    trained = _end(end.training, train)
    rows.append([name, *tested, *band, *trained, how_of(one, there)])
  columns = ['network', f'>{split}: paper', '>ours', '>diff.']
  columns += ['>others'] if others else []
  columns += ['>train: paper', '>ours', '>diff.', 'ours is']
  return [
    *section.table('Where the curves end; errors in %', columns, rows),
    f"The paper's are {source}. "
    + ('Others: test errors of good reproductions. ' if others else '')
    + 'Training errors are of augmented images, while the weights change.',
  ]


def _end(paper: float | str | None, ours: Sequence[float]) -> list[str]:
  """Cells of a curve's end; a bound is not subtracted."""
  if isinstance(paper, str):
    return [escape(paper), *against(None, ours)[1:]]
  # The number as it was read, without a digit more.
  printed = MISSING if paper is None else str(paper)
  return [printed, *against(paper, ours)[1:]]


def fig7(section: Section) -> list[str]:
  """The responses of nets that were trained on CIFAR-10."""
  none = ['No layer responses have been measured yet.']
  return response_blocks(section) or none


def response_blocks(section: Section, suffix: str = '') -> list[str]:
  """The figure of responses, and a table of them, where they are measured."""
  series, rows, definitions = [], [], []
  for network in section.selected:
    contents = section.measured(network, Record.layer_responses)
    if not contents:
      continue
    series.append(series_of(network.member.network, contents))
    stds = series[-1].stds
    means = [statistics.fmean(content.stds) for content in contents]
    definitions += [(one.definition, one.images) for one in contents]
    rows.append(
      [
        name_of(network),
        str(len(stds)),
        strong(mean_std(means, 3)),
        strong(number(min(stds), 3)),
        strong(number(max(stds), 3)),
        how_of(network, contents),
      ]
    )
  if not series:
    return []
  if any(definition != definitions[0] for definition in definitions):
    section.problems.append(
      'The networks differ in the definition of their responses: measure them '
      'anew, alike, after deleting responses.json in the folders of their runs.'
    )
  return [
    *section.figure(
      lambda stem, note: figures.response_figure(series, stem, note=note),
      'Curves of the standard deviation of the responses of each layer, in the '
      f'order of layers and sorted, of {", ".join(s.label for s in series)}.',
      'Standard deviations of layer responses, after BN and before the '
      f'nonlinearity or addition. {_definition(*definitions[0])}',
      suffix=suffix,
    ),
    *section.table(
      'Standard deviations of the responses of 3x3 layers',
      ['network', '>layers', '>mean', '>least', '>greatest', 'ours is'],
      rows,
    ),
    'The paper gives no numbers for this figure.',
  ]


def series_of(
  network: str, contents: Sequence[LayerResponses]
) -> ResponseSeries:
  """The mean over what `responses.measure` found with each seed."""
  return ResponseSeries(
    printed_name(network),
    [
      statistics.fmean(values)
      for values in zip(*(one.stds for one in contents), strict=True)
    ],
    'plain' if 'plain' in network else 'residual',
    depth_of(network),
  )


def _definition(definition: dict[str, Any], images: int) -> str:
  return (
    f'Measured on {images:,} {escape(definition["split"])} images without '
    f'augmentation; {_POOLING[definition["pooling"]]}; BN by '
    f'{definition["statistics"]} statistics.'
  )
