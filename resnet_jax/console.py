"""Log lines on stdout, with live progress below them on a terminal."""

import collections
import io
import logging
import sys
import time
from types import TracebackType
from typing import Any

import jax
import rich.console
import rich.progress
from absl import logging as absl_logging
from rich.table import Column

from resnet_jax.hosts.devices import process_index
from resnet_jax.text import paragraph

_log = logging.getLogger('resnet_jax')


_RECENT = 10  # lines of a pass that its rate is taken over


class Console(logging.Handler):
  """Prints log lines, and progress that replaces itself on a terminal.

  Where stdout is a file or a pipe, progress comes as plain lines, less often.

  Attributes:
    interval: Seconds between two progress lines.
  """

  def __init__(self) -> None:
    super().__init__()
    self.setFormatter(logging.Formatter('%(message)s'))
    self._terminal = rich.console.Console(highlight=False, markup=False)
    self._bar: rich.progress.Progress | None = None
    self.interval = 1.0 if self._terminal.is_terminal else 30.0

  def emit(self, record: logging.LogRecord) -> None:
    text = paragraph(self.format(record))
    if record.levelno >= logging.WARNING:
      text = f'{record.levelname.lower()}: {text}'
    if self._bar:
      self._terminal.out(text)  # above the bar
    else:
      print(text, flush=True)

  def progress(self, text: str, fraction: float | None = None) -> None:
    """Shows `text` in place of the last progress on a terminal.

    Args:
      text: Where the work stands, in words.
      fraction: The part of the work that is done, 0 to 1; None if unknown.
    """
    if not self._terminal.is_terminal:
      print(text, flush=True)
      return
    if not self._bar:
      self._bar = rich.progress.Progress(
        rich.progress.BarColumn(12, table_column=Column(min_width=12)),
        rich.progress.TextColumn(
          '{task.description}', markup=False, table_column=Column()
        ),
        console=self._terminal,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
      )
      self._bar.add_task('', total=1.0)
      self._bar.start()
    self._bar.update(
      self._bar.task_ids[0],
      description=text,
      total=None if fraction is None else 1.0,
      completed=fraction or 0.0,
      refresh=True,
    )

  def clear(self) -> None:
    """Takes the progress away."""
    if self._bar:
      self._bar.stop()
      self._bar = None


console = Console()


class Progress:
  """Shows how far a pass has come, with its rate and the time left.

  Used in a `with` statement, it takes its line away at the end.

  Args:
    title: What is counted, such as 'pictures averaged'.
    total: How many there are.
  """

  def __init__(self, title: str, total: int) -> None:
    self._title = title
    self._total = total
    self._done = 0
    self._shown = time.monotonic()
    # Moments of the last lines with what was done by then: a rate over all of
    # a long pass would hide that it has become slow.
    self._marks = collections.deque([(self._shown, 0)], maxlen=_RECENT)

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    console.clear()

  def add(self, count: int) -> None:
    """Counts `count` more as done."""
    self._done = min(self._done + count, self._total)
    now = time.monotonic()
    if now - self._shown >= console.interval and jax.process_index() == 0:
      self._shown = now
      start, before = self._marks[0]
      self._marks.append((now, self._done))
      done, seconds = self._done - before, now - start
      line = f'{self._title}: {self._done:,} of {self._total:,}'
      if done:
        left = (self._total - self._done) * seconds / done
        line += f'  {rate(done / seconds)}/s  {clock_face(left)} left'
      console.progress(line, self._done / self._total)


def clock_face(seconds: float) -> str:
  """Seconds as '4:02', or with hours as '1:04:02'."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02}:{seconds:02}'
  return f'{minutes}:{seconds:02}'


def rate(per_second: float) -> str:
  """A rate in words: '1,204', '12', '3.1', '0.31'."""
  if per_second >= 9.95 or per_second == 0:
    return f'{per_second:,.0f}'
  return f'{per_second:.2g}'


def start_logging() -> None:
  """Shows our own log lines from the first host alone; see `show_log`.

  Raises:
    UserError: JAX has no device of the kind that JAX_PLATFORMS asks for.
  """
  show_log()
  if process_index() != 0:
    _log.setLevel(logging.WARNING)


def show_log() -> None:
  """Shows our own log lines, and quiets libraries.

  What a terminal cannot show is escaped, so that no name ends a command.
  """
  for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
      stream.reconfigure(errors='backslashreplace')
  # What libraries log as an error, with a traceback, they also raise.
  absl_logging.set_verbosity(absl_logging.FATAL)
  sys.unraisablehook = _unraisablehook
  _log.addHandler(console)
  _log.propagate = False
  _log.setLevel(logging.INFO)


def _unraisablehook(unraisable: Any) -> None:
  # When one array of a checkpoint cannot be written, TensorStore reports so,
  # past Orbax, for each of the others; Orbax raises the first.
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)
