"""Errors over training in the style of Fig. 6: training thin, testing bold.

`draw` leaves the picture of one run; the paper's figures draw their lines with
`mean_over_seeds` and `draw_line`, too.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
  from matplotlib.axes import Axes

# Steps and errors in % of one seed.
Points = Sequence[tuple[float, float]]

_MOST_RECORDS = 200  # of training on a line; more would blur and swell


@dataclasses.dataclass(frozen=True)
class Line:
  """A network's errors in % over steps, with their range over seeds."""

  steps: np.ndarray
  mean: np.ndarray
  least: np.ndarray
  greatest: np.ndarray
  seeds: int


def draw(records: list[dict[str, Any]], title: str, path: pathlib.Path) -> None:
  """Writes the curves of a run, from the records of `metrics.jsonl`, as PNG."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6, 4), layout='constrained')
  axes = figure.add_subplot()
  for split, color in (('train', 'C0'), ('validation', 'C1'), ('test', 'C0')):
    points = [
      (r['step'], 100 * r['error']) for r in records if r['split'] == split
    ]
    if points:
      training = split == 'train'
      line = mean_over_seeds([points], training=training)
      draw_line(axes, line, training=training, color=color, label=split)
  axes.set(xlabel='steps', ylabel='error (%)', title=title)
  axes.set_ylim(bottom=0)
  axes.grid(alpha=0.3)
  if axes.lines:
    axes.legend()
  figure.savefig(path, dpi=120)


def mean_over_seeds(seeds: Sequence[Points], *, training: bool) -> Line:
  """The mean over seeds at the steps that all have.

  Many records of training are averaged to fewer: each is a mean already.

  Raises:
    ValueError: The seeds share no step.
  """
  by_step = [dict(points) for points in seeds if points]
  steps = np.array(sorted(set.intersection(*map(set, by_step))))
  if not len(steps):
    raise ValueError(f'the curves of {len(by_step)} seeds share no step')
  errors = np.array([[seed[step] for step in steps] for seed in by_step])
  if training:
    count = -(-len(steps) // _MOST_RECORDS)
    ends = list(range(len(steps), 0, -count))[::-1]
    means = [errors[:, max(0, end - count) : end].mean(1) for end in ends]
    steps, errors = steps[np.array(ends) - 1], np.stack(means, 1)
  return Line(steps, errors.mean(0), errors.min(0), errors.max(0), len(by_step))


def style(*, training: bool) -> dict[str, Any]:
  """Width and dashes of a line."""
  if training:
    return {'linewidth': 0.9, 'linestyle': '--'}
  return {'linewidth': 2.0, 'linestyle': '-'}


def draw_line(
  axes: 'Axes',
  line: Line,
  *,
  training: bool,
  color: str,
  label: str | None = None,
  unit: float = 1,
) -> None:
  """Draws the mean, in a band from the least to the greatest of the seeds.

  Args:
    axes: Where to draw.
    line: The errors.
    training: Whether they are of training, which is drawn thin and dashed.
    color: Color of line and band.
    label: Name in the legend.
    unit: Steps in one unit of the horizontal axis.
  """
  x = line.steps / unit
  # A single point would draw no line.
  marker = 'o' if len(x) == 1 else None
  axes.plot(
    x,
    line.mean,
    color=color,
    label=label,
    marker=marker,
    **style(training=training),
  )
  if line.seeds > 1:
    axes.fill_between(
      x, line.least, line.greatest, color=color, alpha=0.18, linewidth=0
    )
