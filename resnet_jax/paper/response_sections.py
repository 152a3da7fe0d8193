"""Fig. 7: how strongly layers respond."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from resnet_jax.paper import figures
from resnet_jax.paper.context import (
  Context,
  how_of,
  label_of,
  printed_name,
)
from resnet_jax.paper.document import (
  Block,
  Cell,
  Command,
  Paragraph,
  Table,
  mean_std,
  number,
)
from resnet_jax.paper.records import Record
from resnet_jax.paper.results import LayerResponses
from resnet_jax.paper.runs import depth_of


def fig7(context: Context) -> list[Block]:
  """The responses of nets that were trained on CIFAR-10."""
  blocks = responses(context)
  if not blocks:
    blocks = [Paragraph('No layer responses have been measured yet.')]
  return [*blocks, *_as_blocks(context.missing())]


def _as_blocks(notes: Iterable[str | Command]) -> list[Block]:
  return [
    note if isinstance(note, Command) else Paragraph(note) for note in notes
  ]


def responses(context: Context, suffix: str = '') -> list[Block]:
  """The figure of responses, and a table of them, where they are measured."""
  series, rows, definitions = [], [], []
  for one in context.selected:
    contents = context.measured(one, Record.layer_responses)
    if not contents:
      continue
    series.append(series_of(one.member.network, contents))
    layers = series[-1].stds
    means = [statistics.fmean(_stds(content)) for content in contents]
    definitions.append((contents[0].definition, contents[0].images))
    rows.append(
      [
        Cell(label_of(one)),
        Cell(f'{len(layers)}', 'number'),
        Cell(mean_std(means, 3), 'ours'),
        Cell(number(min(layers), 3), 'ours'),
        Cell(number(max(layers), 3), 'ours'),
        Cell(how_of(one, contents)),
      ]
    )
  if not series:
    return []
  figure = context.figure(
    lambda stem: figures.response_figure(series, stem, note=context.note),
    'Curves of the standard deviation of the responses of each layer, in the '
    f'order of layers and sorted, of {", ".join(s.label for s in series)}.',
    'Standard deviations of layer responses, after BN and before the '
    'nonlinearity or addition. ' + _definition(*definitions[0]),
    suffix,
  )
  table = Table(
    'Standard deviations of the responses of 3x3 layers',
    ['network', 'layers', 'mean', 'least', 'greatest', 'ours is'],
    rows,
    ['The paper gives no numbers for this figure.'],
  )
  if any(definition != definitions[0] for definition in definitions):
    context.problems.append(
      'The networks differ in the definition of their responses: measure them '
      'anew, alike, after deleting responses.json in the folders of their runs.'
    )
  return [figure, table]


def series_of(
  network: str, contents: Sequence[LayerResponses]
) -> figures.ResponseSeries:
  """The mean over what `responses.measure` found with each seed."""
  stds = zip(*map(_stds, contents), strict=True)
  return figures.ResponseSeries(
    printed_name(network),
    [statistics.fmean(values) for values in stds],
    'plain' if 'plain' in network else 'residual',
    depth_of(network),
  )


def _stds(content: LayerResponses) -> list[float]:
  return content.stds


def _definition(definition: dict[str, Any], images: int) -> str:
  pooling = {
    'all': 'one deviation over images, positions and channels',
    'channels': 'the mean of the deviations of channels',
  }
  return (
    f'Of {images:,} {definition["split"]} images without augmentation; '
    f'{pooling[definition["pooling"]]}; BN by {definition["statistics"]} '
    'statistics.'
  )
