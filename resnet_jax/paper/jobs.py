"""A run and what is measured on it, as processes, one after the other."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import IO

from resnet_jax.errors import UserError
from resnet_jax.paper import records
from resnet_jax.paper.cost import work_of
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target
from resnet_jax.runs import telemetry


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


@dataclasses.dataclass
class _Stage:
  """One process of a job: what it makes, and how it is started."""

  title: str
  output: pathlib.Path
  module: str
  arguments: Callable[[], list[str]]


class Job:
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
    self._log_start = 0
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
    stage = self._stages[0]
    self._lock = self._lock or _lock(self.folder)
    try:
      self._log = (self.folder / 'log.txt').open('ab')
      self._log_start = self._log.tell()
      self._process = start(
        stage.module,
        stage.arguments(),
        self._log,
        cache=self.folder.parent / '.compiled',
        inherited=(self._lock.fileno(),),
        core=core,
      )
    except (UserError, OSError):
      self.close()
      raise

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
      self.close()
    return code

  def close(self) -> None:
    """Lets go of the folder; the process, if there is one, has ended."""
    for file in (self._log, self._lock):
      if file:
        file.close()
    self._lock = None

  def stop(self, number: int) -> None:
    if self._process and self._process.poll() is None:
      self._process.send_signal(number)

  def last_words(self) -> str:
    """The error of the process that failed, as far as it gave one."""
    return last_words(
      self.folder / 'log.txt', self._process.returncode, self._log_start
    )

  def _step(self) -> int:
    metrics = telemetry.read_metrics(self.folder)
    return metrics[-1]['step'] if metrics else 0


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


def is_done(root: pathlib.Path, run: Run, target: Target) -> bool:
  """Whether nothing of what the target wants of a run is missing."""
  files = records.outputs(root / run.name, run, target.views, target.responses)
  return all(file.exists() for file in files.values())


def _stages(
  run: Run, folder: pathlib.Path, target: Target, options: Options
) -> list[_Stage]:
  config = [
    f'--config={run.file}',
    *run.flags(),
    f'--cpu_devices={options.cpu_devices}',
  ]
  files = records.outputs(folder, run, target.views, target.responses)

  def train() -> list[str]:
    # metrics.jsonl has all that TensorBoard would be told.
    quiet = '--config.run.tensorboard=False'
    return [*config, quiet, f'--workdir={folder}']

  def test() -> list[str]:
    return [
      *config,
      '--mode=eval',
      f'--config.test.views={target.views}',
      f'--checkpoint={trained(folder)}',
      f'--results={files["testing"]}',
    ]

  def respond() -> list[str]:
    output = files['responses']
    return ['responses', str(trained(folder)), f'--output={output}']

  commands = {
    'training': ('resnet_jax.main', train),
    'testing': ('resnet_jax.main', test),
    'responses': ('resnet_jax.paper', respond),
  }
  return [_Stage(name, file, *commands[name]) for name, file in files.items()]


def start(
  module: str,
  arguments: list[str],
  log: IO[bytes],
  *,
  cache: pathlib.Path,
  inherited: tuple[int, ...] = (),
  core: int | None = None,
) -> subprocess.Popen:
  """Starts a command of ours.

  Args:
    module: of the command.
    arguments: its flags.
    log: takes what it prints.
    cache: folder for what is compiled.
    inherited: files that it holds open for as long as it lives.
    core: the only one that it may use; None: all.
  """
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


def last_words(log: pathlib.Path, code: int, start: int = 0) -> str:
  """The error in `log` from byte `start` on, of a process that failed."""
  text = log.read_bytes()[start:].decode(errors='replace')
  lines = text.strip().splitlines()
  errors = [line for line in lines if line.startswith('error: ')]
  if errors:
    return errors[-1].removeprefix('error: ')
  if code < 0:
    return f'killed by {signal.Signals(-code).name}; see {log}'
  return f'exit code {code}: {lines[-1] if lines else "no output"}; see {log}'
