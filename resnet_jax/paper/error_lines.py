"""The numbers of error curves: means and ranges over seeds, limits, places."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

# A seed's (step, error in %).
Points = Sequence[tuple[float, float]]
Kind = Literal['train', 'test']

_MOST_RECORDS = 200  # of training that a line shows; more would blur and swell


@dataclasses.dataclass(frozen=True)
class Curve:
  """A network's errors over training.

  Attributes:
    label: written at the end of its lines.
    train: of each seed, errors while training.
    test: of each seed; either may be empty.
    depth: layers, which give the colour.
    paper_end: test error in % at the end of the paper's curve; None: unknown.
  """

  label: str
  train: Sequence[Points]
  test: Sequence[Points]
  depth: int
  paper_end: float | None = None


@dataclasses.dataclass(frozen=True)
class Panel:
  """Curves on one pair of axes; `kinds` says which lines of them are drawn."""

  title: str
  curves: Sequence[Curve]
  kinds: tuple[Kind, ...] = ('train', 'test')


@dataclasses.dataclass(frozen=True)
class Line:
  """What is drawn of a curve: mean, least and greatest over its seeds."""

  curve: Curve
  kind: Kind
  steps: np.ndarray
  mean: np.ndarray
  least: np.ndarray
  greatest: np.ndarray
  seeds: int

  @property
  def paper_end(self) -> float | None:
    return self.curve.paper_end if self.kind == 'test' else None


def lines_of(panel: Panel) -> list[Line]:
  """Of each curve that has points; training before testing.

  Raises:
    ValueError: the seeds of a curve share no step.
  """
  return [
    _over_seeds(curve, kind)
    for curve in panel.curves
    for kind in panel.kinds
    if any(getattr(curve, kind))
  ]


def _over_seeds(curve: Curve, kind: Kind) -> Line:
  """At the steps that all seeds have."""
  seeds = [dict(points) for points in getattr(curve, kind) if points]
  steps = sorted(set.intersection(*map(set, seeds)))
  if not steps:
    raise ValueError(
      f'the {len(seeds)} {kind} curves of {curve.label} share no step'
    )
  errors = np.array([[seed[step] for step in steps] for seed in seeds])
  steps = np.array(steps)
  if kind == 'train':
    steps, errors = _thinned(steps, errors)
  return Line(
    curve,
    kind,
    steps,
    errors.mean(0),
    errors.min(0),
    errors.max(0),
    len(seeds),
  )


def _thinned(
  steps: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Fewer records of training: each is a mean, and so is that of several."""
  count = -(-len(steps) // _MOST_RECORDS)
  ends = range(len(steps), 0, -count)[::-1]
  means = [errors[:, max(0, end - count) : end].mean(1) for end in ends]
  return steps[np.array(ends) - 1], np.stack(means, 1)


def limits(
  lines: Sequence[Line], ylim: tuple[float, float]
) -> tuple[float, float]:
  """`ylim`, widened to hold the ends of all lines.

  All curves begin far above, and the paper cuts them there; so of the last
  three quarters of a run only the median counts.
  """
  low, high = ylim
  ends = []
  for line in lines:
    late = line.mean[line.steps >= line.steps[-1] / 4]
    ends += [line.least[-1], line.greatest[-1], float(np.median(late))]
    ends += [] if line.paper_end is None else [line.paper_end]
  if 1.1 * max(ends) > high:
    high = min(100, 10 * math.ceil(1.1 * max(ends) / 10))
  if min(ends) < low:
    low = 0
  return low, high


def spread(places: Sequence[float], gap: float, length: float) -> list[float]:
  """The nearest places that are `gap` apart, from 0 to `length`."""
  order = np.argsort(places, kind='stable')
  # Less what the gaps below take, places must not fall: neighbours that do are
  # pooled, which is the least-squares solution.
  blocks = []
  for rank, index in enumerate(order):
    blocks.append([places[index] - rank * gap])
    while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
      blocks[-2:] = [blocks[-2] + blocks[-1]]
  level = [np.mean(block) for block in blocks for _ in block]
  level = np.clip(level, 0, max(0, length - gap * (len(places) - 1)))
  spread = np.empty(len(places))
  spread[order] = level + gap * np.arange(len(places))
  return spread.tolist()
