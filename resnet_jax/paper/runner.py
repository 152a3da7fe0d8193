"""Does what is missing of a target: skips, resumes, goes on past failures.

Each run is a process of its own, `python -m resnet_jax.main`, so that one that
fails takes nothing else with it. Its output is in `log.txt` of its folder.
"""

import functools
import logging
import pathlib
import time
from collections.abc import Sequence

from resnet_jax.console import clock_face
from resnet_jax.errors import UserError
from resnet_jax.paper import records
from resnet_jax.paper.jobs import (
  Job,
  Options,
  eval_command,
  main_command,
  missing,
  trained,
)
from resnet_jax.paper.processes import Processes, available_cores
from resnet_jax.paper.results import DamagedError
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target
from resnet_jax.runs import telemetry

_log = logging.getLogger('resnet_jax')


def run_target(
  target: Target, runs: Sequence[Run], options: Options
) -> dict[str, str]:
  """Does what is missing of `runs`.

  Returns:
    What went wrong, by the name of what failed; the rest is done.

  Raises:
    UserError: nothing can be written to the folder of the runs, or the mean
      image cannot be computed.
    Interrupted: SIGTERM, SIGINT or SIGHUP; what was running has saved.
  """
  telemetry.make_workdir(options.root, '--runs')
  failures, jobs = {}, []
  for run in runs:
    try:
      _set_damaged_aside(run, target, options.root)
    except (UserError, OSError) as e:
      failures[run.name] = str(e)
      _log.warning('%s failed: %s', run.name, e)
    else:
      jobs.append(Job(run, target, options))
  left = [job for job in jobs if not job.done]
  done = len(jobs) - len(left)
  _log.info('%s: %d runs, of which %d are done', target.name, len(runs), done)
  cache = options.root / '.compiled'
  with Processes(options.parallel, cache) as processes:
    if left:
      _compute_mean_image(left[0].run, options, processes)
    tasks = {job.run.name: functools.partial(job.do, processes) for job in left}
    failures |= processes.do(tasks, _Progress(jobs))
    if target.ensemble and failures:
      failures['ensemble'] = 'some of its networks are missing'
    elif target.ensemble and len(runs) > 1:
      failures |= _test_ensemble(target, runs, options, processes)
  return failures


def is_done(root: pathlib.Path, run: Run, target: Target) -> bool:
  """Whether all that the target wants of a run is there, and the run's own."""
  try:
    record = records.find(root, run)
  except UserError:
    return False
  return record is not None and not missing(root, run, target)


def default_parallel(target: Target) -> int:
  """One run at a time, or one for each core where one core is enough."""
  return min(len(available_cores()), 8) if target.one_core else 1


class _Progress:
  """Words about how much is done, what runs, and how long the rest takes."""

  def __init__(self, jobs: Sequence[Job]) -> None:
    self._jobs = jobs
    self._total = sum(job.total_work for job in jobs)
    self._first = self._work()
    self._start = time.monotonic()

  def __call__(self) -> str:
    done, elapsed = self._work(), time.monotonic() - self._start
    finished = sum(job.done for job in self._jobs)
    words = [
      f'{finished}/{len(self._jobs)} runs, {100 * done / self._total:.0f} % of '
      f'the work'
    ]
    if self._first < done < self._total:
      left = elapsed * (self._total - done) / (done - self._first)
      words.append(f'{clock_face(left)} left')
    running = [job for job in self._jobs if job.running]
    return '; '.join([*words, *map(str, running)])

  def _work(self) -> float:
    return sum(job.work_done() for job in self._jobs)


def _compute_mean_image(
  run: Run, options: Options, processes: Processes
) -> None:
  """Computes the mean image of the pictures of a run, if it subtracts one."""
  dataset = run.configuration().dataset
  if dataset.crop_size and dataset.mean == 'pixel':
    _log.info('the mean image of the training pictures ...')
    command = [*main_command(run, options), '--mode=mean_image']
    log_file = options.root / 'mean_image.log'
    task = functools.partial(processes.run, command, log_file)
    for reason in processes.do({'mean image': task}).values():
      raise UserError(reason)


def _test_ensemble(
  target: Target, runs: Sequence[Run], options: Options, processes: Processes
) -> dict[str, str]:
  """Tests the networks of `runs` together, unless that is done."""
  output = records.ensemble_file(options.root, target.name, runs)
  try:
    if records.ensemble(options.root, target.name, runs):
      return {}
  except DamagedError as e:
    _set_aside(e)
  _log.info('%d networks together ...', len(runs))

  def task() -> None:
    checkpoints = [trained(options.root / run.name) for run in runs]
    command = eval_command(runs[0], target, options, output, checkpoints)
    processes.run(command, output.with_suffix('.log'), output=output)

  return processes.do({output.stem: task})


def _set_damaged_aside(run: Run, target: Target, root: pathlib.Path) -> None:
  """Renames damaged files of a run, so that they are made anew.

  Raises:
    UserError: the folder is another run's.
  """
  while True:
    try:
      record = records.find(root, run)
      if record and target.views:
        record.evaluation(target.views)
      if record and target.measures_responses:
        record.layer_responses()
      return
    except DamagedError as e:
      _set_aside(e)


def _set_aside(error: DamagedError) -> None:
  aside = error.file.with_name(f'{error.file.name}.damaged')
  error.file.rename(aside)
  _log.warning('%s; it is now %s', error, aside.name)
