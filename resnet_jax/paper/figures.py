"""The paper's figures, drawn from plain numbers: Figs. 1, 4, 6 and 7.

  curve = Curve('56-layer', train=[seed0, seed1], test=[...], depth=56)
  error_curves([Panel('plain', [curve])], folder / 'figure6', note='one seed')

Each is written as PNG, on white, and as SVG, for pages and for print.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from resnet_jax.paper import error_lines
from resnet_jax.paper.error_lines import Curve, Kind, Line, Panel
from resnet_jax.paper.sheet import TEXT, Sheet, save, style

if TYPE_CHECKING:
  from matplotlib.axes import Axes

__all__ = [
  'Curve',
  'Panel',
  'ResponseSeries',
  'error_curves',
  'response_figure',
  'save',
]

# Near the paper's own, but each has a contrast of at least 3 to white and to
# #111, and those that share a figure differ for colour-blind readers, too.
_GOLD, _BLUE, _GREEN = '#c08a00', '#2f7fd8', '#12805c'
_RED, _BLACK, _PURPLE = '#d0402b', '#000000', '#b86fc9'
_COLORS = {
  18: _GOLD,
  20: _GOLD,
  32: _BLUE,
  34: _RED,
  44: _GREEN,
  50: _BLUE,
  56: _RED,
  101: _GREEN,
  110: _BLACK,
  152: _PURPLE,
  1202: _PURPLE,
}
_LONG_RUN = 10_000  # steps, from which on the axis counts in 1e4
# Points.
_LABEL_GAP, _LABEL_SHIFT = 10.5, 13


@dataclasses.dataclass(frozen=True)
class ResponseSeries:
  """The deviation of a network's responses, by layer (Fig. 7)."""

  label: str
  stds: Sequence[float]
  kind: Literal['plain', 'residual']
  depth: int


def error_curves(
  panels: Sequence[Panel],
  stem: pathlib.Path,
  *,
  ylim: tuple[float, float] = (0, 20),
  xlabel: str = 'iter. (1e4)',
  test_name: str = 'test',
  dashed: bool = True,
  note: str = '',
) -> None:
  """Figs. 1, 4 and 6: training thin, testing bold; the mean over seeds.

  Args:
    panels: side by side; those without a line are left out.
    stem: of the files, without suffix.
    ylim: % that the axes share; they are widened where lines would end beyond.
    xlabel: of runs of 10,000 steps and more. Shorter ones count steps.
    test_name: what the bold lines are called.
    dashed: whether the thin ones are, as in Fig. 6.
    note: written below.

  Raises:
    ValueError: no panel has a line, or the seeds of a curve share no step.
  """
  drawn = [(panel, error_lines.lines_of(panel)) for panel in panels]
  drawn = [(panel, lines) for panel, lines in drawn if lines]
  if not drawn:
    raise ValueError(f'{stem.name}: no panel has a curve to draw')
  every = [line for _, lines in drawn for line in lines]
  last = max(line.steps[-1] for line in every)
  scale, xlabel = (1e4, xlabel) if last >= _LONG_RUN else (1, 'steps')
  limits = error_lines.limits(every, ylim)
  colors = _colors(line.curve.depth for line in every)
  with style():
    widest = max(len(line.curve.label) for line in every)
    legend = _error_legend(every, test_name, dashed)
    sheet = Sheet(
      len(drawn),
      width=3.0 if len(drawn) < 3 else 2.4,
      height=2.7,
      right=(_LABEL_SHIFT + widest * 0.62 * TEXT) / 72 + 0.1,
      legend_rows=2 if len(drawn) == 1 and len(legend) > 3 else 1,
      note=note,
    )
    for axes, (panel, lines) in zip(sheet.axes, drawn, strict=True):
      for line in lines:
        _draw_line(axes, line, colors[line.curve.depth], scale, dashed)
      end = max(line.steps[-1] for line in lines) / scale
      axes.set(title=panel.title, xlabel=xlabel, xlim=(0, end), ylim=limits)
      axes.locator_params(integer=True, nbins=7)
      axes.tick_params('y', labelleft=axes is sheet.axes[0])
      _label_ends(axes, lines, colors, scale, sheet.height * 72)
    sheet.axes[0].set_ylabel('error (%)')
    sheet.legend(legend)
    save(sheet.figure, stem)


def response_figure(
  series: Sequence[ResponseSeries], stem: pathlib.Path, *, note: str = ''
) -> None:
  """Fig. 7: in the order of layers above, from the greatest down below.

  Args:
    series: plain nets are dashed, residual ones solid.
    stem: of the files, without suffix.
    note: written below.

  Raises:
    ValueError: there is none, or one that is empty or of another kind.
  """
  from matplotlib.ticker import LogLocator

  if not series:
    raise ValueError(f'{stem.name}: there are no responses to draw')
  for one in series:
    if not len(one.stds) or one.kind not in ('plain', 'residual'):
      raise ValueError(
        f'{stem.name}: {one.label} is {one.kind!r}, with {len(one.stds)} '
        f"layers; it must be 'plain' or 'residual', with at least one"
      )
  colors = _colors(one.depth for one in series)
  everything = np.concatenate([one.stds for one in series])
  # One net whose responses explode would flatten all others.
  log = everything.max() > 10 * np.median(everything)
  with style():
    rows = -(-len(series) // 5)
    sheet = Sheet(
      1,
      width=5.4,
      height=1.7,
      rows=2,
      right=0.2,
      legend_rows=rows,
      titles=False,
      note=note,
    )
    top, bottom = sheet.axes
    for one in series:
      _draw_responses(top, one, one.stds, colors[one.depth])
      _draw_responses(
        bottom, one, sorted(one.stds, reverse=True), colors[one.depth]
      )
    top.set_xlabel('layer index (original)')
    bottom.set_xlabel('layer index (sorted by magnitude)')
    layers = max(len(one.stds) for one in series)
    for axes in sheet.axes:
      axes.set(ylabel='std', xlim=(1, max(layers, 2)))
      if log:
        axes.set(ylabel='std (log scale)', yscale='log')
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter('{x:g}')
        axes.yaxis.set_minor_formatter('')
      else:
        axes.set_ylim(bottom=0)
    sheet.legend(top.get_lines())
    save(sheet.figure, stem)


def _colors(depths: Iterable[int]) -> dict[int, str]:
  """By depth: the same in all figures, and a free one for other depths."""
  depths = sorted(set(depths))
  colors = {depth: _COLORS[depth] for depth in depths if depth in _COLORS}
  every = dict.fromkeys(_COLORS.values())
  free = [color for color in every if color not in colors.values()]
  others = itertools.cycle(free or every)
  return colors | {
    depth: next(others) for depth in depths if depth not in colors
  }


def _draw_line(
  axes: 'Axes', line: Line, color: str, scale: float, dashed: bool
) -> None:
  x = line.steps / scale
  axes.plot(
    x,
    line.mean,
    color=color,
    # A single point would draw no line.
    marker='o' if len(x) == 1 else None,
    **_look(line.kind, dashed),
  )
  if line.seeds > 1:
    axes.fill_between(
      x, line.least, line.greatest, color=color, alpha=0.18, linewidth=0
    )
  if line.paper_end is not None:
    axes.plot(
      1,
      line.paper_end,
      transform=axes.get_yaxis_transform(),
      clip_on=False,
      color=color,
      **_PAPER,
    )


_LEADER = {
  'arrowstyle': '-',
  'linewidth': 0.6,
  'shrinkA': 0,
  'shrinkB': 0,
  'relpos': (0, 0.5),
}
# The tip is at the edge of the axes.
_PAPER = {'marker': 4, 'markersize': 6, 'linestyle': 'none'}


def _look(kind: Kind, dashed: bool) -> dict[str, Any]:
  if kind == 'test':
    return {'linewidth': 2.0}
  return {'linewidth': 0.9, 'linestyle': '--' if dashed else '-'}


def _label_ends(
  axes: 'Axes',
  lines: Sequence[Line],
  colors: dict[int, str],
  scale: float,
  height: float,
) -> None:
  """Writes each curve's label right of its end, `height` points of axes."""
  from matplotlib.transforms import ScaledTranslation

  # Of a curve's lines, the last: testing comes after training.
  lines = list({id(line.curve): line for line in lines}.values())
  low, high = axes.get_ylim()
  ends = [np.clip(line.mean[-1], low, high) for line in lines]
  places = [(end - low) / (high - low) * height for end in ends]
  heights = error_lines.spread(places, _LABEL_GAP, height)
  for line, end, place, y in zip(lines, ends, places, heights, strict=True):
    color, x = colors[line.curve.depth], line.steps[-1] / scale
    touches = abs(y - place) < 2 and x == axes.get_xlim()[1]
    shift = ScaledTranslation(
      _LABEL_SHIFT / 72, y / 72, axes.figure.dpi_scale_trans
    )
    axes.annotate(
      line.curve.label,
      (x, end),
      (1, 0),
      textcoords=axes.transAxes + shift,
      va='center',
      color=color,
      annotation_clip=False,
      arrowprops=None if touches else _LEADER | {'color': color},
    )


def _draw_responses(
  axes: 'Axes', series: ResponseSeries, stds: Sequence[float], color: str
) -> None:
  axes.plot(
    range(1, len(stds) + 1),
    stds,
    color=color,
    linewidth=1.5,
    linestyle='--' if series.kind == 'plain' else '-',
    marker='o' if len(stds) == 1 else None,
    label=series.label,
  )


def _error_legend(
  lines: Sequence[Line], test_name: str, dashed: bool
) -> list[Any]:
  """What the kinds of line and mark mean, of those that there are."""
  from matplotlib.lines import Line2D
  from matplotlib.patches import Patch

  kinds = {line.kind for line in lines}
  handles = [
    Line2D([], [], color=_BLACK, label=label, **_look(kind, dashed))
    for kind, label in (('train', 'training'), ('test', test_name))
    if kind in kinds
  ]
  if any(line.paper_end is not None for line in lines):
    label = 'paper, at the end'
    handles.append(Line2D([], [], color=_BLACK, label=label, **_PAPER))
  seeds = sorted({line.seeds for line in lines} - {1})
  if seeds:
    count = ' or '.join(map(str, seeds))
    label = f'range of {count} seeds'
    handles.append(Patch(color=_BLACK, alpha=0.18, linewidth=0, label=label))
  return handles
