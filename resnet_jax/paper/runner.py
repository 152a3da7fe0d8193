"""Does what is missing of a target: skips, resumes, goes on past failures.

Each run is a process of its own, `python -m resnet_jax.main`, so that one which
fails takes nothing else with it. Its output is in `log.txt` of its folder.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import IO, Any

from resnet_jax import telemetry
from resnet_jax.console import clock_face, console
from resnet_jax.errors import UserError
from resnet_jax.interruption import Interrupted
from resnet_jax.paper import records
from resnet_jax.paper.measure import work_of
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target

_log = logging.getLogger('resnet_jax')

_POLL = 0.2  # seconds between two looks at the processes


@dataclasses.dataclass(frozen=True)
class Options:
  """How to run.

  Attributes:
    root: folder of all runs.
    parallel: runs at a time.
    cpu_devices: of each run, see `resnet_jax.main`.
  """

  root: pathlib.Path
  parallel: int = 1
  cpu_devices: int = 1


@dataclasses.dataclass(frozen=True)
class Failure:
  """What could not be done, and the last thing it said."""

  name: str
  reason: str


@dataclasses.dataclass
class _Stage:
  """One process of a job: what it makes, and how it is started."""

  title: str
  output: pathlib.Path
  module: str
  arguments: Callable[[], list[str]]


class _Job:
  """A run with what is measured on it afterwards, one process at a time."""

  def __init__(self, run: Run, target: Target, options: Options) -> None:
    self.run = run
    self.folder = options.root / run.name
    self.total_work = work_of(run)
    self._steps = run.steps()
    self._stages = [
      stage
      for stage in _stages(run, self.folder, target, options)
      if not stage.output.exists()
    ]
    self._process: subprocess.Popen | None = None
    self._log: IO[bytes] | None = None
    self._lock: IO[str] | None = None

  @property
  def done(self) -> bool:
    return not self._stages

  def work_done(self) -> float:
    """In multiply-adds; what comes after training counts as nothing."""
    if not self._stages or self._stages[0].title != 'training':
      return self.total_work
    return self.total_work * self._step() / self._steps

  def describe(self) -> str:
    if self._stages[0].title != 'training':
      return f'{self.run.name}: {self._stages[0].title}'
    return f'{self.run.name}: step {self._step():,}/{self._steps:,}'

  def start(self, core: int | None) -> None:
    """Starts the next process, alone on one core if one is named.

    Raises:
      UserError: the folder cannot be written to, or is in use.
    """
    telemetry.make_workdir(self.folder, '--runs')
    self._lock = self._lock or _lock(self.folder)
    self._log = (self.folder / 'log.txt').open('ab')
    stage = self._stages[0]
    self._process = _start(
      stage.module,
      stage.arguments(),
      self._log,
      cache=self.folder.parent / '.compiled',
      inherited=(self._lock.fileno(),),
      core=core,
    )

  def poll(self) -> int | None:
    """The exit code of the process that runs; None while it does."""
    code = self._process.poll()
    if code is None:
      return None
    self._log.close()
    if code == 0 and not self._stages[0].output.exists():
      code = 1
    if code == 0:
      self._stages.pop(0)
    if code or not self._stages:
      self._lock.close()
    return code

  def stop(self, number: int) -> None:
    if self._process and self._process.poll() is None:
      self._process.send_signal(number)

  def last_words(self) -> str:
    """The error of the process that failed, as far as it gave one."""
    return _last_words(self.folder / 'log.txt', self._process.returncode)

  def _step(self) -> int:
    metrics = telemetry.read_metrics(self.folder)
    return metrics[-1]['step'] if metrics else 0


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
    except records.ForeignError as e:
      failures.append(Failure(run.name, str(e)))
    else:
      jobs.append(_Job(run, target, options))
  waiting = [job for job in jobs if not job.done]
  _log.info(
    '%s: %d runs, of which %d are done',
    target.name,
    len(runs),
    len(jobs) - len(waiting),
  )
  _prepare(waiting, options)
  with _Stop() as stop:
    failures += _run_all(waiting, jobs, options, stop)
    if stop.number:
      raise Interrupted(
        f'stopped by {signal.Signals(stop.number).name}; the same command goes '
        f'on from here',
        stop.number,
      )
    if target.ensemble and not failures:
      failures += _run_ensemble(target, runs, options)
  return failures


def _check(run: Run, target: Target, options: Options) -> None:
  """Sets aside what is damaged, so that it is made anew.

  Raises:
    ForeignError: the folder is another run's.
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
      aside = e.file.with_name(f'{e.file.name}.damaged')
      e.file.rename(aside)
      _log.warning('%s is damaged, and is now %s', e.file, aside.name)
    else:
      return
  raise UserError(f'{folder} is damaged; delete it')


def _stages(
  run: Run, folder: pathlib.Path, target: Target, options: Options
) -> list[_Stage]:
  config = [f'--config={run.file}', *run.flags()]
  devices = f'--cpu_devices={options.cpu_devices}'

  def train() -> list[str]:
    return [
      *config,
      '--config.run.tensorboard=False',  # metrics.jsonl has it all
      f'--workdir={folder}',
      devices,
    ]

  stages = [
    _Stage('training', folder / 'results.json', 'resnet_jax.main', train)
  ]
  if target.views and run.configuration().dataset.crop_size:
    output = records.evaluation_file(folder, target.views)

    def evaluate() -> list[str]:
      return [
        *config,
        '--mode=eval',
        f'--config.test.views={target.views}',
        f'--checkpoint={trained(folder)}',
        f'--results={output}',
        devices,
      ]

    title = f'testing, {target.views}'
    stages.append(_Stage(title, output, 'resnet_jax.main', evaluate))
  if target.responses and run.seed == 0:
    output = records.responses_file(folder)

    def respond() -> list[str]:
      return ['responses', str(trained(folder)), f'--output={output}']

    stages.append(_Stage('responses', output, 'resnet_jax.paper', respond))
  return stages


def trained(folder: pathlib.Path) -> pathlib.Path:
  """The checkpoint that a run ends with; BN recomputed, if it was.

  Raises:
    UserError: it is gone.
  """
  for series in ('recomputed', 'latest'):
    steps = [
      path
      for path in (folder / 'checkpoints' / series).glob('*')
      if path.name.isdigit()
    ]
    if steps:
      return max(steps, key=lambda path: int(path.name))
  raise UserError(
    f'{folder} has no checkpoint any more, so that nothing can be measured on '
    f'it; delete the folder to train it anew'
  )


def _run_all(
  waiting: list[_Job], jobs: Sequence[_Job], options: Options, stop: '_Stop'
) -> list[Failure]:
  """Runs what waits, so many at a time; what failed."""
  failures, running = [], {}
  left, progress = list(waiting), _Progress(jobs)
  while (left and not stop.number) or running:
    free = [i for i in range(options.parallel) if i not in running]
    while left and free and not stop.number:
      job, slot = left.pop(0), free.pop(0)
      try:
        job.start(_core(slot, options))
        running[slot] = job
      except UserError as e:
        failures.append(_fail(job, str(e)))
    if stop.number and not stop.forwarded:
      stop.forward(running.values())
    for slot, job in list(running.items()):
      code = job.poll()
      if code is None:
        continue
      del running[slot]
      if stop.number:
        continue
      if code:
        failures.append(_fail(job, job.last_words()))
      elif job.done:
        progress.log(job)
      else:
        left.insert(0, job)  # its next process
    progress.show(running.values())
    time.sleep(_POLL)
  return failures


def _fail(job: _Job, reason: str) -> Failure:
  _log.warning('%s failed: %s', job.run.name, reason)
  return Failure(job.run.name, reason)


def _run_ensemble(
  target: Target, runs: Sequence[Run], options: Options
) -> list[Failure]:
  output = records.ensemble_file(options.root, target.name, runs)
  if output.exists():
    return []
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
  return _run_alone(output.stem, arguments, options)


def _prepare(jobs: Sequence[_Job], options: Options) -> None:
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
      for failure in _run_alone('mean_image', arguments, options):
        raise UserError(failure.reason)
      return  # all runs of a target are on the same data


def _run_alone(
  name: str, arguments: list[str], options: Options
) -> list[Failure]:
  file = options.root / f'{name}.log'
  with file.open('wb') as log:
    cache = options.root / '.compiled'
    process = _start('resnet_jax.main', arguments, log, cache=cache)
    code = process.wait()
  return [Failure(name, _last_words(file, code))] if code else []


def _start(
  module: str,
  arguments: list[str],
  log: IO[bytes],
  *,
  cache: pathlib.Path,
  inherited: tuple[int, ...] = (),
  core: int | None = None,
) -> subprocess.Popen:
  environment = dict(os.environ)
  # The seeds of a network share what is compiled for it.
  environment.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache.absolute()))
  # Several runs share a GPU only if none takes all of its memory.
  environment.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  process = subprocess.Popen(
    [sys.executable, '-m', module, *arguments],
    stdin=subprocess.DEVNULL,
    stdout=log,
    stderr=subprocess.STDOUT,
    env=environment,
    # Out of the reach of the terminal's ^C, which we pass on, and once.
    start_new_session=True,
    pass_fds=inherited,
  )
  if core is not None:
    with contextlib.suppress(OSError):  # it may be over already
      os.sched_setaffinity(process.pid, {core})
  return process


def _core(slot: int, options: Options) -> int | None:
  """The core of one's own of a run among several, where there are enough.

  Small networks do not gain from a second core, and two of them that share two
  lose a fifth.
  """
  if options.parallel == 1 or not hasattr(os, 'sched_getaffinity'):
    return None
  cores = sorted(os.sched_getaffinity(0))
  return cores[slot] if options.parallel == len(cores) else None


def _lock(folder: pathlib.Path) -> IO[str]:
  """Keeps others from the folder, for as long as we or our process live."""
  import fcntl  # not on Windows, where training is not supported either

  file = (folder / '.lock').open('w')
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as e:
    file.close()
    raise UserError(
      f'{folder} is being trained by another process; wait for it, or stop it'
    ) from e
  return file


def _last_words(log: pathlib.Path, code: int) -> str:
  lines = log.read_text(errors='replace').strip().splitlines()
  errors = [line for line in lines if line.startswith('error: ')]
  if errors:
    return errors[-1].removeprefix('error: ')
  if code < 0:
    return f'killed by {signal.Signals(-code).name}; see {log}'
  return f'exit code {code}: {lines[-1] if lines else "no output"}; see {log}'


class _Progress:
  """Shows how much of all the work is done, and how long the rest takes."""

  def __init__(self, jobs: Sequence[_Job]) -> None:
    self._jobs = jobs
    self._total = sum(job.total_work for job in jobs)
    self._first = self._work()
    self._start = self._shown = time.monotonic()
    self._finished = sum(job.done for job in jobs)

  def log(self, job: _Job) -> None:
    self._finished += 1
    _log.info(
      '%s is done: %d of %d', job.run.name, self._finished, len(self._jobs)
    )

  def show(self, running: Collection[_Job]) -> None:
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
    self._jobs: Sequence[_Job] = ()

  def __enter__(self) -> '_Stop':
    numbers = (signal.SIGTERM, signal.SIGINT)
    self._old = {n: signal.signal(n, self._note) for n in numbers}
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def forward(self, running: Iterable[_Job]) -> None:
    self.forwarded, self._jobs = True, list(running)
    _log.warning('stopping; %d runs are saving ...', len(self._jobs))
    for job in self._jobs:
      job.stop(signal.SIGTERM)

  def _note(self, number: int, _: Any) -> None:
    if self.number:
      for job in self._jobs:
        job.stop(signal.SIGKILL)
    self.number = number
