"""The paper's Figs. 1, 4, 6 and 7, drawn from plain numbers.

  curve = Curve('ResNet-56', train=[seed0, seed1], test=[...], depth=56)
  error_curves([Panel('residual nets', [curve])], folder / 'figure6')

Each is written as PNG, on white, and as SVG, which suits light and dark pages.
"""

import dataclasses
import itertools
import math
import pathlib
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from resnet_jax.paper import canvas
from resnet_jax.runs import curves
from resnet_jax.runs.curves import Line, Points

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

Split = Literal['train', 'test']

# Near the paper's own, but each has a contrast of at least 3 to white and to
# #111, and those that share a figure differ for colour-blind readers, too.
_DEPTHS = {
  '#c08a00': (18, 20),
  '#2f7fd8': (32, 50),
  '#12805c': (44, 101),
  '#d0402b': (34, 56),
  '#000000': (110,),
  '#b86fc9': (152, 1202),
}
_LONG_RUN = 10_000  # steps, from which on the axis counts in 1e4
# Marks where the paper's curve ends, with the tip at the edge of the axes.
_PAPER: dict[str, Any] = {'marker': 4, 'markersize': 6, 'linestyle': 'none'}


@dataclasses.dataclass(frozen=True)
class Curve:
  """A network's errors over training.

  Attributes:
    label: Name of the network.
    train: Errors of each seed while training.
    test: Errors of each seed when tested; either may be empty.
    depth: Number of layers, which gives the colour.
    paper_end: Test error in % where the paper's curve ends; None: unknown.
  """

  label: str
  train: Sequence[Points]
  test: Sequence[Points]
  depth: int
  paper_end: float | None = None


@dataclasses.dataclass(frozen=True)
class Panel:
  """Curves on one pair of axes; `splits` says which lines of them are drawn."""

  title: str
  curves: Sequence[Curve]
  splits: tuple[Split, ...] = ('train', 'test')

  def lines(self) -> list['_Drawn']:
    """The lines of all curves that have points, training before testing."""
    return [
      (
        curve,
        split,
        curves.mean_over_seeds(
          getattr(curve, split), training=split == 'train'
        ),
      )
      for curve in self.curves
      for split in self.splits
      if any(getattr(curve, split))
    ]


_Drawn = tuple[Curve, Split, Line]


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
  test_name: str = 'test',
  note: str = '',
) -> None:
  """Draws Figs. 1, 4 and 6: training thin, testing bold; the mean over seeds.

  Args:
    panels: Panels side by side; those without a line are left out.
    stem: Path of the files, without suffix.
    ylim: Range in % that the axes share, widened where lines would end beyond.
    test_name: What the bold lines are called.
    note: Text below the axes.

  Raises:
    ValueError: No panel has a line, or the seeds of a curve share no step.
  """
  from matplotlib.figure import Figure

  drawn = [(panel.title, panel.lines()) for panel in panels]
  drawn = [(title, lines) for title, lines in drawn if lines]
  if not drawn:
    raise ValueError(f'{stem.name}: no panel has a curve to draw')
  every = [line for _, lines in drawn for line in lines]
  long = max(line.steps[-1] for _, _, line in every) >= _LONG_RUN
  unit, xlabel = (1e4, 'iter. (1e4)') if long else (1, 'steps')
  colors = _colors(curve.depth for curve, _, _ in every)
  width = {1: 4.5, 2: 6.6}.get(len(drawn), 2.9 * len(drawn))
  with canvas.style():
    figure = Figure(figsize=(width, 3.8), layout='constrained')
    all_axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(all_axes, drawn, strict=True):
      _draw_panel(axes, lines, colors, unit)
      axes.set(title=title, xlabel=xlabel)
    all_axes[0].set(ylabel='error (%)', ylim=_limits(every, ylim))
    _legend(figure, _error_handles(every, colors, test_name), note)
    canvas.save(figure, stem)


def response_figure(
  series: Sequence[ResponseSeries], stem: pathlib.Path, *, note: str = ''
) -> None:
  """Draws Fig. 7: in the order of layers above, from the greatest down below.

  Args:
    series: Networks; plain ones are dashed, residual ones solid.
    stem: Path of the files, without suffix.
    note: Text below the axes.

  Raises:
    ValueError: There is no series, or one that is empty.
  """
  from matplotlib.figure import Figure
  from matplotlib.ticker import LogLocator

  if not series or not all(len(one.stds) for one in series):
    raise ValueError(f'{stem.name}: there are no responses to draw')
  colors = _colors(one.depth for one in series)
  everything = np.concatenate([one.stds for one in series])
  with canvas.style():
    figure = Figure(figsize=(6, 5), layout='constrained')
    top, bottom = figure.subplots(2, 1, sharex=True, sharey=True)
    for one in series:
      for axes, stds in ((top, one.stds), (bottom, sorted(one.stds)[::-1])):
        axes.plot(
          range(1, len(stds) + 1),
          stds,
          color=colors[one.depth],
          linewidth=1.5,
          linestyle='--' if one.kind == 'plain' else '-',
          marker='o' if len(stds) == 1 else None,
          label=one.label,
        )
    top.set(xlabel='layer index (original)', ylabel='std')
    bottom.set(xlabel='layer index (sorted by magnitude)', ylabel='std')
    top.tick_params('x', labelbottom=True)
    top.set_xlim(1, max(2, *(len(one.stds) for one in series)))
    # One net whose responses explode would flatten all others.
    if everything.max() > 10 * np.median(everything):
      for axes in (top, bottom):
        axes.set(ylabel='std (log scale)', yscale='log')
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter('{x:g}')
        axes.yaxis.set_minor_formatter('')
    else:
      top.set_ylim(bottom=0)
    _legend(figure, top.get_lines(), note)
    canvas.save(figure, stem)


def _colors(depths: Iterable[int]) -> dict[int, str]:
  """Colors by depth: the same in all figures, and a free one for others."""
  wanted = sorted(set(depths))
  colors = {d: c for c, own in _DEPTHS.items() for d in own if d in wanted}
  free = [color for color in _DEPTHS if color not in colors.values()]
  others = itertools.cycle(free or _DEPTHS)
  return {depth: colors.get(depth) or next(others) for depth in wanted}


def _draw_panel(
  axes: 'Axes', lines: Sequence[_Drawn], colors: dict[int, str], unit: float
) -> None:
  for curve, split, line in lines:
    color, training = colors[curve.depth], split == 'train'
    curves.draw_line(axes, line, training=training, color=color, unit=unit)
    if split == 'test' and curve.paper_end is not None:
      axes.plot(
        1,
        curve.paper_end,
        transform=axes.get_yaxis_transform(),
        clip_on=False,
        color=color,
        **_PAPER,
      )
  axes.set_xlim(0, max(line.steps[-1] for _, _, line in lines) / unit)
  axes.locator_params(integer=True, nbins=7)


def _limits(
  lines: Iterable[_Drawn], ylim: tuple[float, float]
) -> tuple[float, float]:
  """`ylim`, widened to hold the ends of all lines.

  All curves begin far above, and the paper cuts them there; so only the median
  counts of the last three quarters of a run.
  """
  low, high = ylim
  ends: list[float] = []
  for curve, split, line in lines:
    late = line.mean[line.steps >= line.steps[-1] / 4]
    ends += [line.least[-1], line.greatest[-1], float(np.median(late))]
    if split == 'test' and curve.paper_end is not None:
      ends.append(curve.paper_end)
  if 1.1 * max(ends) > high:
    high = min(100, 10 * math.ceil(1.1 * max(ends) / 10))
  return (low if min(ends) >= low else 0), high


def _error_handles(
  lines: Sequence[_Drawn], colors: dict[int, str], test_name: str
) -> list[Any]:
  """The meaning of colors, kinds of line and marks."""
  from matplotlib.lines import Line2D
  from matplotlib.patches import Patch

  handles: list[Any] = [
    Line2D([], [], color=colors[depth], linewidth=2, label=f'{depth} layers')
    for depth in sorted(colors)
  ]
  splits = {split for _, split, _ in lines}
  for split, label in (('train', 'training'), ('test', test_name)):
    if split in splits:
      look = curves.style(training=split == 'train')
      handles.append(Line2D([], [], color='black', label=label, **look))
  ends = [curve.paper_end for curve, split, _ in lines if split == 'test']
  if any(end is not None for end in ends):
    handles.append(Line2D([], [], color='black', label='paper', **_PAPER))
  seeds = sorted({line.seeds for _, _, line in lines} - {1})
  if seeds:
    label = f'range of {" or ".join(map(str, seeds))} seeds'
    handles.append(Patch(color='black', alpha=0.18, linewidth=0, label=label))
  return handles


def _legend(figure: 'Figure', handles: Sequence[Any], note: str) -> None:
  """Puts the legend below all axes, where it hides nothing, with the note."""
  width = figure.get_figwidth()
  legend = figure.legend(
    handles=handles,
    loc='outside lower center',
    ncols=int(width / 1.5),
    title='\n'.join(textwrap.wrap(note, int(15 * width))) or None,
  )
  # A dollar sign in the name of a data set is one.
  legend.get_title().set_parse_math(False)
