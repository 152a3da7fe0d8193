"""The records of a run: metrics.jsonl, TensorBoard events, progress lines."""

import contextlib
import logging
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from resnet_jax.console import clock_face, console, rate
from resnet_jax.runs import history
from resnet_jax.runs.hook import Hook

_log = logging.getLogger('resnet_jax')

_ACTIVITIES = ('open', 'compile', 'input', 'eval', 'save')


class Clock:
  """Seconds by activity, and of training, which is the rest and the input.

  Attributes:
    before: Seconds by activity of the sessions before this one.
  """

  def __init__(self, before: Mapping[str, float] | None = None) -> None:
    self.before = before or {}
    self.start()

  def start(self) -> None:
    """Counts from now on: what was prepared before is no training."""
    self._start = time.monotonic()
    self.seconds = dict.fromkeys(_ACTIVITIES, 0.0)

  @contextlib.contextmanager
  def __call__(self, activity: str) -> Iterator[None]:
    """Counts the time inside a `with` block as `activity`."""
    start = time.monotonic()
    try:
      yield
    finally:
      self.seconds[activity] += time.monotonic() - start

  def training(self) -> float:
    """Seconds in which steps ran, their wait for input included."""
    pauses = sum(s for name, s in self.seconds.items() if name != 'input')
    return time.monotonic() - self._start - pauses

  def of_all_sessions(self) -> dict[str, float]:
    """Seconds by activity, 'train' among them, of this session and before."""
    now = self.seconds | {'train': self.training()}
    return {name: self.before.get(name, 0.0) + s for name, s in now.items()}


class Reporter:
  """Writes the records of one run, and shows its progress.

  Args:
    workdir: The folder for `metrics.jsonl` and TensorBoard's events.
    first_step: The step that training resumes at. Records after it are from a
      session that was cut, and are dropped.
    steps: Steps of the whole run.
    batch_size: Examples of one step, over all devices.
    clock: The clock of the loop.
    tensorboard: Whether to write events.
    every: Steps between two records of training.
    hook: Called with each record, too, on the first host.
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
    every: int | None = None,
    hook: Hook = lambda record: None,
  ) -> None:
    self._steps = steps
    self._batch_size = batch_size
    self._clock = clock
    self._hook = hook
    self._shown = time.monotonic()
    # Steps, and seconds of training and of its wait for input, at the last
    # record. The first step of a run is compiled with, and does not count.
    self._mark = (first_step + 1, 0.0, 0.0)
    self._jsonl = self._events = None
    if jax.process_index() == 0:
      self._jsonl = history.open_metrics(workdir, first_step, every=every)
      self._events = _event_writer(workdir) if tensorboard else None

  def train(self, step: int, values: dict[str, float]) -> None:
    """Records training since the last record, and shows it."""
    values = values | self._rates(step)
    now = self._clock.training(), self._clock.seconds['input']
    self._mark = (step, *now)
    self._record(step, 'train', values)
    self._show(step, values)

  def evaluation(self, step: int, split: str, values: dict[str, float]) -> None:
    """Records an evaluation."""
    self._record(step, split, values)

  def progress_due(self) -> bool:
    """Whether it is time for the next progress line."""
    return time.monotonic() - self._shown >= console.interval

  def progress(self, step: int, values: dict[str, float]) -> None:
    """Shows training since the last record, and records nothing."""
    self._show(step, values | self._rates(step))

  def close(self) -> None:
    """Closes the files, and takes the progress line away."""
    console.clear()
    if self._jsonl:
      self._jsonl.close()
    if self._events:
      self._events.close()

  def _show(self, step: int, values: dict[str, float]) -> None:
    self._shown = time.monotonic()
    if jax.process_index() == 0:
      line = self._line(step, values)
      console.progress(line, step / self._steps)

  def _record(self, step: int, split: str, values: dict[str, float]) -> None:
    if self._jsonl:
      history.check_there(self._jsonl)
      record = {'step': step, 'split': split} | values
      self._jsonl.write(history.line_of(record))
      self._jsonl.flush()
    if jax.process_index() == 0:
      self._hook({'step': step, 'split': split} | values)
    if self._events:
      named = {f'{split}/{name}': value for name, value in values.items()}
      self._events.write_scalars(step, named)

  def _rates(self, step: int) -> dict[str, float]:
    """The rate since the last record, and what is left at this rate."""
    mark, training, waiting = self._mark
    done, seconds = step - mark, self._clock.training() - training
    if done < 1 or seconds <= 0:
      return {}
    return {
      'images_per_second': done * self._batch_size / seconds,
      'input_wait': (self._clock.seconds['input'] - waiting) / seconds,
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
        f'{rate(values["images_per_second"])} img/s',
        f'{100 * values["input_wait"]:.0f} % waiting for input',
        f'{clock_face(values["seconds_left"])} left',
      ]
    return '  '.join(parts)


def _event_writer(workdir: pathlib.Path) -> Any:
  try:
    from clu import metric_writers  # imports TensorFlow, so not before
  except ImportError as e:
    _log.warning('no TensorBoard events: %s (metrics.jsonl has it all)', e)
    return None
  return metric_writers.AsyncWriter(metric_writers.SummaryWriter(str(workdir)))
