"""Log lines, and a live line below them on a terminal."""

import logging
import sys
import time
from typing import Any

import jax
from absl import logging as absl_logging

_log = logging.getLogger('resnet_jax')


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


class Progress:
  """Shows how far a pass has come, with its rate and the time left."""

  def __init__(self, title: str, total: int) -> None:
    self._title = title
    self._total = total
    self._done = 0
    self._start = self._shown = time.monotonic()

  def add(self, count: int) -> None:
    self._done = min(self._done + count, self._total)
    now = time.monotonic()
    if now - self._shown >= console.interval and jax.process_index() == 0:
      self._shown = now
      rate = self._done / (now - self._start)
      left = (self._total - self._done) / rate
      console.progress(
        f'{self._title}: {self._done:,} of {self._total:,}  {rate:,.0f}/s  '
        f'{clock_face(left)} left'
      )


def clock_face(seconds: float) -> str:
  """As '4:02', or '1:04:02' with hours."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02}:{seconds:02}'
  return f'{minutes}:{seconds:02}'


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
