"""The runs of a target, with the time that they may take on this machine."""

import math
import pathlib
from collections.abc import Sequence

from resnet_jax.paper import cost, runner
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target


def describe(
  target: Target, runs: Sequence[Run], root: pathlib.Path, parallel: int
) -> str:
  """A line for each run, and the time for all; measures for some seconds.

  Args:
    target: The table or figure.
    runs: Those of its runs that are asked for.
    root: Folder of all runs.
    parallel: Number of runs at a time.
  """
  if not runs:
    return (
      f'{target.name} is computed from the modules; there is nothing to run'
    )
  done = {run for run in runs if runner.is_done(root, run, target)}
  if len(done) == len(runs):
    return f'all {len(runs)} runs of {target.name} are done'
  speed = cost.measure_speed(min(runs, key=cost.forward_macs))
  seconds = {run: speed.seconds_of(run) for run in runs if run not in done}
  at_a_time = f', {parallel} at a time' if parallel > 1 else ''
  return '\n'.join(
    [
      f'{"run":42} {"M multiply-adds":>15} {"steps":>8} {"estimate":>9}',
      *(_line(run, seconds.get(run)) for run in runs),
      f'In all {_duration(sum(seconds.values()) / parallel)}{at_a_time}, '
      f'estimated from {speed.macs_per_second / 1e9:,.1f} billion '
      f'multiply-adds a second, which a few training steps of {speed.network} '
      f'reached on {speed.device}. Reading data and tests come on top.',
    ]
  )


def _line(run: Run, seconds: float | None) -> str:
  takes = 'done' if seconds is None else _duration(seconds)
  return (
    f'{run.name:42} {cost.forward_macs(run) / 1e6:15,.1f} {run.steps():8,} '
    f'{takes:>9}{f"  [{run.departures}]" if run.departures else ""}'
  )


def _duration(seconds: float) -> str:
  if seconds < 3600:
    return f'{math.ceil(seconds / 60)} min'
  return f'{seconds / 3600:,.{0 if seconds > 36_000 else 1}f} h'
