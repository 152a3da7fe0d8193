"""Fig. 3 for any of the networks: one column of boxes each, image to fc.

  draw(('vgg19', 'plain34', 'resnet34'), pathlib.Path('fig3'))

Boxes, labels, sizes and shortcuts are read off the modules, so that the drawing
shows what is trained.
"""

import dataclasses
import itertools
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from resnet_jax import models
from resnet_jax.models import complexity
from resnet_jax.models.complexity import Layer
from resnet_jax.paper import architecture, canvas
from resnet_jax.paper.published import printed_name
from resnet_jax.paper.section import Section

if TYPE_CHECKING:
  from matplotlib.axes import Axes

# In inches.
_COLUMN = 2.45
_MARGIN = 0.65
_TITLE = 0.62
_BOX_WIDTH, _BOX_HEIGHT = 1.5, 0.17
_GAP = 0.1
_ROW = _BOX_HEIGHT + _GAP
_SECTION_GAP = 0.18
_BULGE = 0.42
# Below a box, where a shortcut joins and leaves: above the head of the arrow.
_JOINT = _BOX_HEIGHT / 2 + 0.4 * _GAP

# In points.
_TEXT = 8
_LINE = 0.6
_DOTS = 0.9
_HEAD = 3

# Tints let text in the page's own color be read on white and on black.
_TINT = 0.35
_COLORS = tuple(
  f'tab:{color}'
  for color in ('purple', 'orange', 'blue', 'green', 'red', 'cyan', 'pink')
)


@dataclasses.dataclass(frozen=True)
class Box:
  """A layer as it is drawn.

  Attributes:
    kind: Kind of the `Layer`, or 'image'.
    label: Text such as '3x3 conv, 128, /2'.
    size: Height of its output maps in pixels, which places it in the drawing.
  """

  kind: str
  label: str
  size: int


@dataclasses.dataclass(frozen=True)
class Shortcut:
  """A connection around a building block.

  Attributes:
    before: Index of the box whose output it takes.
    after: Index of the last box of the block.
    grows: Whether dimensions grow, so that it is not the identity.
  """

  before: int
  after: int
  grows: bool


@dataclasses.dataclass(frozen=True)
class Column:
  """A network as it is drawn.

  Attributes:
    title: Name in the paper, such as 'plain-34'.
    subtitle: Number of multiply-adds.
    boxes: Layers from the image to fc.
    shortcuts: Shortcuts in order; none in a plain net.
  """

  title: str
  subtitle: str
  boxes: tuple[Box, ...]
  shortcuts: tuple[Shortcut, ...]


def fig3(section: Section) -> list[str]:
  """VGG-19, the plain net and the residual net of 34 layers."""
  return section.figure(
    lambda stem, _: draw(('vgg19', 'plain34', 'resnet34'), stem),
    'Three columns of boxes, one for each layer: VGG-19, the plain net and the '
    'residual net of 34 layers, whose shortcuts are arcs.',
    'Drawn from the modules. Dotted shortcuts increase dimensions.',
  )


def draw(names: Sequence[str], stem: pathlib.Path) -> None:
  """Draws networks side by side, as `stem`.png and `stem`.svg.

  Layers of all networks stand at the height of their output size. Shortcuts
  are dotted where dimensions grow.

  Raises:
    ValueError: There is no such network, or it has parallel branches.
  """
  from matplotlib.figure import Figure

  columns = [column(name) for name in names]
  tops = _tops(columns)
  width = _MARGIN + _COLUMN * len(columns)
  height = max(y for each in columns for y in _middles(each, tops)) + _ROW
  figure = Figure(figsize=(width, height))
  axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
  axes.axis('off')
  _draw_sizes(axes, tops, width)
  for index, each in enumerate(columns):
    x = _MARGIN + _COLUMN * index + _BOX_WIDTH / 2
    _draw_column(axes, each, x, tops)
  canvas.save(figure, stem)


def column(name: str) -> Column:
  """The network `name` as it is drawn.

  Raises:
    ValueError: There is no such network, or it has parallel branches.
  """
  model, shape = models.create(name), models.input_shape(name)
  layers = complexity.layers(model, shape, pools=True)
  path = architecture.main_path(layers)
  weighted = [layer for layer in path if layer.kind in ('conv', 'fc')]
  if [x.depth for x in weighted] != list(range(1, len(weighted) + 1)):
    raise ValueError(f'{name} has parallel branches; a chain can be drawn')
  boxes = [Box('image', 'image', shape[0]), *map(_box, path)]
  residual = getattr(model, 'shortcut', None) is not None
  return Column(
    title=printed_name(name),
    subtitle=_amount(sum(layer.macs for layer in layers)),
    boxes=tuple(boxes),
    shortcuts=tuple(_shortcuts(path)) if residual else (),
  )


def _amount(macs: int) -> str:
  if macs < 1e8:
    return f'{macs / 1e6:.1f} million multiply-adds'
  return f'{macs / 1e9:.1f} billion multiply-adds'


def _box(layer: Layer) -> Box:
  channels = layer.output_shape[2]
  window = 'x'.join(map(str, layer.kernel))
  stride = f', /{layer.stride[0]}' if layer.stride[0] != 1 else ''
  label = {
    'conv': f'{window} conv, {channels}{stride}',
    'fc': f'fc {channels}',
    'max_pool': f'pool{stride}',
    'avg_pool': 'avg pool',
  }[layer.kind]
  return Box(layer.kind, label, layer.output_shape[0])


def _shortcuts(path: Sequence[Layer]) -> Iterator[Shortcut]:
  end = 0  # the image is box 0
  for block in architecture.blocks(path):
    before, end = end, end + len(block)
    if len(block) > 1:
      grows = block[0].input_shape != block[-1].output_shape
      yield Shortcut(before, end, grows)


def _tops(columns: Sequence[Column]) -> dict[int, float]:
  """Where the section of each output size begins, from the largest down."""
  counts = [Counter(box.size for box in each.boxes) for each in columns]
  top, tops = _TITLE, {}
  for size in sorted(set().union(*counts), reverse=True):
    tops[size] = top
    top += _ROW * max(count[size] for count in counts) + _SECTION_GAP
  return tops


def _middles(column: Column, tops: dict[int, float]) -> list[float]:
  """The height at which each box is."""
  return [
    tops[size] + _ROW * (row + 0.5)
    for size, boxes in itertools.groupby(box.size for box in column.boxes)
    for row, _ in enumerate(boxes)
  ]


def _draw_sizes(axes: 'Axes', tops: dict[int, float], width: float) -> None:
  left = 0.1
  middle: dict[str, Any] = {'va': 'center', 'linespacing': 1.4}
  axes.text(left, _TITLE / 2, 'output\nsize', size=_TEXT, **middle)
  for size, top in tops.items():
    line = top - _SECTION_GAP / 2
    axes.hlines(line, left, width - left, color='0.5', linewidth=0.4, zorder=0)
    axes.text(left, top + _ROW / 2, str(size), size=_TEXT + 1, **middle)


def _draw_column(
  axes: 'Axes', column: Column, x: float, tops: dict[int, float]
) -> None:
  centered: dict[str, Any] = {'ha': 'center', 'va': 'center'}
  axes.text(x, 0.2, column.title, size=_TEXT + 3, weight='bold', **centered)
  axes.text(x, 0.4, column.subtitle, size=_TEXT, **centered)
  middles = _middles(column, tops)
  colors = dict(zip(tops, itertools.cycle(_COLORS), strict=False))
  for box, y in zip(column.boxes, middles, strict=True):
    axes.text(x, y, box.label, size=_TEXT, ha='center', va='center_baseline')
  axes.barh(
    middles[1:],  # the image has no frame
    _BOX_WIDTH,
    _BOX_HEIGHT,
    left=x - _BOX_WIDTH / 2,
    color=[
      (colors[box.size], _TINT) if box.kind in ('conv', 'fc') else 'none'
      for box in column.boxes[1:]
    ],
    edgecolor='black',
    linewidth=_LINE,
    clip_on=False,
  )
  starts = [y + _BOX_HEIGHT / 2 for y in middles[:-1]]
  ends = [y - _BOX_HEIGHT / 2 for y in middles[1:]]
  axes.vlines([x] * len(ends), starts, ends, color='black', linewidth=_LINE)
  _draw_heads(axes, x, ends, 'down')
  for each in column.shortcuts:
    # Right above its block, which may be in another section than `before`.
    start = middles[each.before + 1] - _ROW + _JOINT
    end = middles[each.after] + _JOINT
    _draw_arc(axes, x, start, end, dotted=each.grows)
  ends = [middles[each.after] + _JOINT for each in column.shortcuts]
  _draw_heads(axes, x, ends, 'left')


def _draw_arc(
  axes: 'Axes', x: float, start: float, end: float, *, dotted: bool
) -> None:
  """A line from `x` around the boxes, at their right, and back to `x`."""
  from matplotlib.patches import PathPatch
  from matplotlib.path import Path

  side = x + _BOX_WIDTH / 2
  turn = side + _BULGE
  points = [(x, start), (side, start), (turn, start)]
  points += [(turn, end), (side, end), (x, end)]
  codes = [Path.MOVETO, Path.LINETO, *[Path.CURVE4] * 3, Path.LINETO]
  stroke = {'linewidth': _DOTS, 'linestyle': ':'} if dotted else {}
  look = {'fill': False, 'clip_on': False, 'linewidth': _LINE} | stroke
  axes.add_patch(PathPatch(Path(points, codes), **look))


def _draw_heads(
  axes: 'Axes', x: float, ends: Sequence[float], direction: str
) -> None:
  """The heads of arrows that end at `x` and at the heights `ends`."""
  from matplotlib.markers import CARETDOWN, CARETLEFT

  axes.plot(
    [x] * len(ends),
    ends,
    color='black',
    linestyle='none',
    marker={'down': CARETDOWN, 'left': CARETLEFT}[direction],
    markersize=_HEAD,
    markeredgewidth=0,
    clip_on=False,
  )
