"""What a run leaves behind: metrics.jsonl, TensorBoard events, JSON files."""

import contextlib
import json
import logging
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax

from resnet_jax.console import clock_face, console
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')


class Clock:
  """Seconds by activity; what is not accounted for is training."""

  def __init__(self) -> None:
    self._start = time.monotonic()
    activities = ('open', 'compile', 'input', 'eval', 'save')
    self.seconds = dict.fromkeys(activities, 0.0)

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
        f'{clock_face(values["seconds_left"])} left',
      ]
    return '  '.join(parts)


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The records of `metrics.jsonl`; none if there is no such file.

  A line that a kill cut short, or that is no record, ends them.
  """
  path = workdir / 'metrics.jsonl'
  records = []
  if path.is_file():
    for line in path.read_text(errors='replace').splitlines():
      try:
        record = json.loads(line)
        record['step'], record['split']
      except (json.JSONDecodeError, KeyError, TypeError):
        break
      records.append(record)
  return records


def make_workdir(workdir: pathlib.Path, flag: str = '--workdir') -> None:
  """Makes the folder, and refuses one that cannot be written to.

  Args:
    workdir: the folder.
    flag: of the command line, which names it.

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
      f'{flag} {workdir} cannot be written to: {e.strerror}. Name another '
      f'folder with {flag}=DIR'
    ) from e


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
  """Writes `content`, so that the file is whole at every moment."""
  if jax.process_index() == 0:
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(content, indent=2) + '\n')
    draft.rename(path)


def _event_writer(workdir: pathlib.Path) -> Any:
  try:
    from clu import metric_writers  # imports TensorFlow, so not before
  except ImportError as e:
    _log.warning('no TensorBoard events: %s (metrics.jsonl has it all)', e)
    return None
  return metric_writers.AsyncWriter(metric_writers.SummaryWriter(str(workdir)))
