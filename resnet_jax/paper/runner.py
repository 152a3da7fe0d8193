"""Does what is missing of a target: skips, resumes, goes on past failures.

Each run is a process of its own, `python -m resnet_jax.main`, so that one which
fails takes nothing else with it. Its output is in `log.txt` of its folder.
"""

import dataclasses
import logging
import os
import signal
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from resnet_jax.console import clock_face, console
from resnet_jax.errors import UserError
from resnet_jax.paper import records
from resnet_jax.paper.jobs import Job, Options, last_words, start, trained
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target
from resnet_jax.runs import telemetry
from resnet_jax.runs.interruption import Interrupted

_log = logging.getLogger('resnet_jax')

_POLL = 0.2  # seconds between two looks at the processes


@dataclasses.dataclass(frozen=True)
class Failure:
  """What could not be done, and the last thing it said."""

  name: str
  reason: str


def run_target(
  target: Target, runs: Sequence[Run], options: Options
) -> list[Failure]:
  """Does what is missing of `runs`.

  Returns:
    What failed; the rest is done.

  Raises:
    UserError: nothing can be written to the folder of the runs.
    Interrupted: SIGTERM or SIGINT; what was running has saved.
  """
  telemetry.make_workdir(options.root, '--runs')
  failures, jobs = [], []
  for run in runs:
    try:
      _check(run, target, options)
    except (UserError, OSError) as e:
      failures.append(_failed(run.name, str(e)))
    else:
      jobs.append(Job(run, target, options))
  waiting = [job for job in jobs if not job.done]
  _log.info(
    '%s: %d runs, of which %d are done',
    target.name,
    len(runs),
    len(jobs) - len(waiting),
  )
  with _Stop() as stop:
    _prepare(waiting, options, stop)
    failures += _run_all(waiting, jobs, options, stop)
    if target.ensemble and failures:
      failures.append(_failed('ensemble', 'some of its networks are missing'))
    elif target.ensemble and len(runs) > 1:
      failures += _run_ensemble(target, runs, options, stop)
  return failures


def _check(run: Run, target: Target, options: Options) -> None:
  """Sets aside what is damaged, so that it is made anew.

  Raises:
    UserError: the folder is another run's, or beyond help.
  """
  folder = options.root / run.name
  for _ in range(3):  # there are so many kinds of file
    try:
      record = records.find(options.root, run)
      if record and target.views:
        record.evaluation(target.views)
      if record and target.responses:
        record.responses()
    except records.DamagedError as e:
      _set_aside(e)
    else:
      return
  raise UserError(f'{folder} is damaged; delete it')


def _set_aside(error: records.DamagedError) -> None:
  aside = error.file.with_name(f'{error.file.name}.damaged')
  error.file.rename(aside)
  _log.warning('%s; it is now %s', error, aside.name)


def _run_all(
  waiting: list[Job], jobs: Sequence[Job], options: Options, stop: '_Stop'
) -> list[Failure]:
  """Runs what waits, so many at a time; what failed."""
  failures, running = [], {}
  left, progress = list(waiting), _Progress(jobs)
  try:
    _loop(left, running, failures, options, stop, progress)
  finally:  # whatever happened to us: they are in sessions of their own
    for job in running.values():
      job.stop(signal.SIGTERM)
    for job in left:
      job.close()
  stop.check()
  return failures


def _loop(
  left: list[Job],
  running: dict[int, Job],
  failures: list[Failure],
  options: Options,
  stop: '_Stop',
  progress: '_Progress',
) -> None:
  """Until nothing is left or, after a signal, nothing runs."""
  while (left and not stop.number) or running:
    free = [i for i in range(options.parallel) if i not in running]
    while left and free and not stop.number:
      job, slot = left.pop(0), free.pop(0)
      try:
        job.start(_core(slot, options))
        running[slot] = job
      except (UserError, OSError) as e:
        failures.append(_failed(job.run.name, str(e)))
    if stop.number and not stop.forwarded:
      stop.forward(running.values())
    for slot, job in list(running.items()):
      code = job.poll()
      if code is None:
        continue
      del running[slot]
      if stop.number:
        job.close()
        continue
      if code:
        failures.append(_failed(job.run.name, job.last_words()))
      elif job.done:
        progress.log(job)
      else:
        left.insert(0, job)  # its next process
    progress.show(running.values())
    time.sleep(_POLL)


def _failed(name: str, reason: str) -> Failure:
  _log.warning('%s failed: %s', name, reason)
  return Failure(name, reason)


def _run_ensemble(
  target: Target, runs: Sequence[Run], options: Options, stop: '_Stop'
) -> list[Failure]:
  output = records.ensemble_file(options.root, target.name, runs)
  try:
    if records.ensemble(options.root, target.name, runs):
      return []
  except records.DamagedError as e:
    _set_aside(e)
  _log.info('%d networks together ...', len(runs))
  checkpoints = [
    f'--checkpoint={trained(options.root / run.name)}' for run in runs
  ]
  arguments = [
    f'--config={runs[0].file}',
    *runs[0].flags(),
    '--mode=eval',
    f'--config.test.views={target.views}',
    f'--results={output}',
    *checkpoints,
  ]
  return _run_alone(output.stem, arguments, options, stop)


def _prepare(jobs: Sequence[Job], options: Options, stop: '_Stop') -> None:
  """Computes the mean image of the pictures that are to be trained on.

  Raises:
    UserError: it cannot be computed.
  """
  for job in jobs:
    dataset = job.run.configuration().dataset
    if dataset.crop_size and dataset.mean == 'pixel':
      arguments = [
        f'--config={job.run.file}',
        *job.run.flags(),
        '--mode=mean_image',
      ]
      _log.info('the mean image of the training pictures ...')
      for failure in _run_alone('mean_image', arguments, options, stop):
        raise UserError(failure.reason)
      return  # all runs of a target are on the same data


def _run_alone(
  name: str, arguments: list[str], options: Options, stop: '_Stop'
) -> list[Failure]:
  """Runs what belongs to no single run; its failure, if it fails."""
  file = options.root / f'{name}.log'
  with file.open('wb') as log:
    cache = options.root / '.compiled'
    process = start('resnet_jax.main', arguments, log, cache=cache)
    while process.poll() is None:
      if stop.number:
        process.kill()  # it keeps nothing that is half done
      time.sleep(_POLL)
  stop.check()
  code = process.returncode
  return [_failed(name, last_words(file, code))] if code else []


class _Progress:
  """Shows how much of all the work is done, and how long the rest takes."""

  def __init__(self, jobs: Sequence[Job]) -> None:
    self._jobs = jobs
    self._total = sum(job.total_work for job in jobs)
    self._first = self._work()
    self._start = self._shown = time.monotonic()
    self._finished = sum(job.done for job in jobs)

  def log(self, job: Job) -> None:
    self._finished += 1
    _log.info(
      '%s is done: %d of %d', job.run.name, self._finished, len(self._jobs)
    )

  def show(self, running: Collection[Job]) -> None:
    now = time.monotonic()
    if now - self._shown < console.interval or not running:
      return
    self._shown = now
    done, elapsed = self._work(), now - self._start
    words = [
      f'{self._finished}/{len(self._jobs)} runs, {100 * done / self._total:.0f}'
      f' % of the work'
    ]
    if done > self._first:
      left = elapsed * (self._total - done) / (done - self._first)
      words.append(f'{clock_face(left)} left')
    console.progress('; '.join([*words, *(job.describe() for job in running)]))

  def _work(self) -> float:
    return sum(job.work_done() for job in self._jobs)


class _Stop:
  """Notes SIGTERM and SIGINT; the second one kills what runs."""

  def __init__(self) -> None:
    self.number = 0
    self.forwarded = False
    self._jobs: Sequence[Job] = ()

  def __enter__(self) -> '_Stop':
    # SIGHUP comes when the terminal is closed.
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    self._old = {n: signal.signal(n, self._note) for n in numbers}
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def check(self) -> None:
    """Raises Interrupted, if there was a signal."""
    if self.number:
      raise Interrupted(
        f'stopped by {signal.Signals(self.number).name}; the same command goes '
        f'on from here',
        self.number,
      )

  def forward(self, running: Iterable[Job]) -> None:
    self.forwarded, self._jobs = True, list(running)
    _log.warning('stopping; %d runs are saving ...', len(self._jobs))
    for job in self._jobs:
      job.stop(signal.SIGTERM)

  def _note(self, number: int, _: Any) -> None:
    if self.number:
      for job in self._jobs:
        job.stop(signal.SIGKILL)
    self.number = number


def _core(slot: int, options: Options) -> int | None:
  """The core of one's own of a run among several, where there are enough.

  Small networks gain little from a second core.
  """
  if options.parallel == 1 or not hasattr(os, 'sched_getaffinity'):
    return None
  cores = sorted(os.sched_getaffinity(0))
  return cores[slot] if options.parallel == len(cores) else None
