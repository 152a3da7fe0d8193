"""What a run says and leaves behind: console, metrics.jsonl, TensorBoard."""

import contextlib
import json
import logging
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import jax
from absl import logging as absl_logging

import resnet_jax
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

_PACKAGES = (
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'clu',
  'numpy',
  'tensorflow-datasets',
)


class Console(logging.Handler):
  """Log lines on stdout, with one live line below them on a terminal."""

  def __init__(self) -> None:
    super().__init__()
    self.setFormatter(logging.Formatter('%(message)s'))
    self._live = sys.stdout.isatty()
    self._width = 0
    # Seconds between two progress lines: they scroll unless they are live.
    self.interval = 1.0 if self._live else 30.0

  def emit(self, record: logging.LogRecord) -> None:
    text = self.format(record)
    if record.levelno >= logging.WARNING:
      text = f'{record.levelname.lower()}: {text}'
    self.clear()
    print(text, flush=True)

  def progress(self, text: str) -> None:
    """Shows `text` in place of the last progress on a terminal."""
    if not self._live:
      print(text, flush=True)
      return
    self.clear()
    print(text, end='', flush=True)
    self._width = len(text)

  def clear(self) -> None:
    """Takes the live line away."""
    if self._width:
      print('\r' + ' ' * self._width + '\r', end='', flush=True)
      self._width = 0


console = Console()


def start_logging() -> None:
  """Our own lines at INFO from the first host, and quiet libraries."""
  # What libraries log as an error, with a traceback, they also raise.
  absl_logging.set_verbosity(absl_logging.FATAL)
  sys.unraisablehook = _unraisablehook
  _log.addHandler(console)
  _log.propagate = False
  first = jax.process_index() == 0
  _log.setLevel(logging.INFO if first else logging.WARNING)


def _unraisablehook(unraisable: Any) -> None:
  # When one array of a checkpoint cannot be written, TensorStore reports so,
  # past Orbax, for each of the others; Orbax raises the first.
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


class Clock:
  """Seconds by activity; what is not accounted for is training."""

  def __init__(self) -> None:
    self._start = time.monotonic()
    self.seconds = {'compile': 0.0, 'input': 0.0, 'eval': 0.0, 'save': 0.0}

  @contextlib.contextmanager
  def __call__(self, activity: str) -> Iterator[None]:
    start = time.monotonic()
    try:
      yield
    finally:
      self.seconds[activity] += time.monotonic() - start

  def training(self) -> float:
    """Seconds in which steps ran, their wait for input included."""
    pauses = sum(s for name, s in self.seconds.items() if name != 'input')
    return time.monotonic() - self._start - pauses


class Reporter:
  """The records of one run.

  Args:
    workdir: where `metrics.jsonl` and TensorBoard's events go.
    first_step: the step that training resumes at; records after it are of a
      run that was cut, and are dropped.
    steps: of the whole run.
    batch_size: global.
    clock: told by the loop what it waits for.
    tensorboard: whether to write events.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    first_step: int,
    steps: int,
    batch_size: int,
    clock: Clock,
    tensorboard: bool,
  ) -> None:
    self._first_step = first_step
    self._steps = steps
    self._batch_size = batch_size
    self._clock = clock
    self._shown = time.monotonic()
    self._jsonl = self._events = None
    if jax.process_index() == 0:
      path = workdir / 'metrics.jsonl'
      records = [r for r in read_metrics(workdir) if r['step'] <= first_step]
      # Written beside and moved, so that a kill leaves the old or the new.
      draft = path.with_suffix('.draft')
      draft.write_text(''.join(json.dumps(r) + '\n' for r in records))
      draft.rename(path)
      self._jsonl = path.open('a')
      self._events = _event_writer(workdir) if tensorboard else None

  def train(self, step: int, values: dict[str, float]) -> None:
    """Records training since the last record, and shows it."""
    values = values | self._rates(step)
    self._record(step, 'train', values)
    self._show(step, values)

  def evaluation(self, step: int, split: str, values: dict[str, float]) -> None:
    """Records an evaluation."""
    self._record(step, split, values)

  def progress_due(self) -> bool:
    return time.monotonic() - self._shown >= console.interval

  def progress(self, step: int, values: dict[str, float]) -> None:
    """Shows training since the last record, and records nothing."""
    self._show(step, values | self._rates(step))

  def close(self) -> None:
    if self._jsonl:
      self._jsonl.close()
    if self._events:
      self._events.close()

  def _show(self, step: int, values: dict[str, float]) -> None:
    self._shown = time.monotonic()
    if jax.process_index() == 0:
      console.progress(self._line(step, values))

  def _record(self, step: int, split: str, values: dict[str, float]) -> None:
    if self._jsonl:
      record = {'step': step, 'split': split} | values
      self._jsonl.write(json.dumps(record) + '\n')
      self._jsonl.flush()
    if self._events:
      named = {f'{split}/{name}': value for name, value in values.items()}
      self._events.write_scalars(step, named)

  def _rates(self, step: int) -> dict[str, float]:
    # The first step of a run is compiled with, and has no share in the rate.
    done = step - self._first_step - 1
    seconds = self._clock.training()
    if done < 1 or seconds <= 0:
      return {}
    return {
      'images_per_second': done * self._batch_size / seconds,
      'input_wait': self._clock.seconds['input'] / seconds,
      'seconds_left': (self._steps - step) * seconds / done,
    }

  def _line(self, step: int, values: dict[str, float]) -> str:
    parts = [
      f'step {step:,}/{self._steps:,}',
      f'loss {values["loss"]:.4f}',
      f'error {100 * values["error"]:.2f} %',
      f'lr {values["learning_rate"]:g}',
    ]
    if 'images_per_second' in values:
      parts += [
        f'{values["images_per_second"]:,.0f} img/s',
        f'{100 * values["input_wait"]:.0f} % waiting for input',
        f'{_clock_face(values["seconds_left"])} left',
      ]
    return '  '.join(parts)


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The records of `metrics.jsonl`; none if there is no such file.

  A line that a kill cut short, or that is no record, ends them.
  """
  path = workdir / 'metrics.jsonl'
  records = []
  if path.exists():
    for line in path.read_text().splitlines():
      try:
        record = json.loads(line)
        record['step'], record['split']
      except (json.JSONDecodeError, KeyError, TypeError):
        break
      records.append(record)
  return records


def make_workdir(workdir: pathlib.Path) -> None:
  """Makes the folder, and refuses one that cannot be written to.

  Raises:
    UserError: naming the folder and the system's reason.
  """
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    probe = workdir / f'.probe-{os.getpid()}'
    probe.write_bytes(b'\0' * 4096)
    probe.unlink()
  except OSError as e:
    raise UserError(
      f'--workdir {workdir} cannot be written to: {e.strerror}. Name another '
      f'folder with --workdir=DIR'
    ) from e


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
  """Writes `content`, so that the file is whole at every moment."""
  if jax.process_index() == 0:
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(content, indent=2) + '\n')
    draft.rename(path)


def versions() -> str:
  """Of what matters most to a result, on one line."""
  names = ('jax', 'flax', 'optax')
  return ', '.join(
    [
      f'resnet_jax {resnet_jax.__version__}',
      *(f'{name} {_version(name)}' for name in names),
      f'Python {platform.python_version()}',
    ]
  )


def environment() -> dict[str, Any]:
  """Versions, devices, commit and command: what a figure depends on."""
  return {
    'command': ' '.join(sys.argv),
    'commit': _commit(),
    'python': platform.python_version(),
    'platform': platform.platform(),
    'cpus': os.cpu_count(),
    'backend': jax.default_backend(),
    'device': jax.devices()[0].device_kind,
    'devices': jax.device_count(),
    'hosts': jax.process_count(),
    'packages': {name: _version(name) for name in _PACKAGES},
  }


def _commit() -> str | None:
  """The commit of the source, with a + where it was edited since."""
  try:
    result = subprocess.run(
      ['git', 'describe', '--always', '--abbrev=12', '--dirty=+'],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return None
  return result.stdout.strip()


def _version(package: str) -> str | None:
  try:
    return metadata.version(package)
  except metadata.PackageNotFoundError:
    return None


def _event_writer(workdir: pathlib.Path) -> Any:
  try:
    from clu import metric_writers  # imports TensorFlow, so not before
  except ImportError as e:
    _log.warning('no TensorBoard events: %s (metrics.jsonl has it all)', e)
    return None
  return metric_writers.AsyncWriter(metric_writers.SummaryWriter(str(workdir)))


def _clock_face(seconds: float) -> str:
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02}:{seconds:02}'
  return f'{minutes}:{seconds:02}'
