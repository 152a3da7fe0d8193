"""The sessions of a run, and the share of their time that became its result.

Each process that works on a run is a session of it. sessions.json lists them:
when a process was created, its last sign of life, its steps, and how it ended
where it could still say so. The file is a help and no more: where it is damaged
or missing, the run goes on, and counts from there.
"""

import dataclasses
import itertools
import logging
import os
import pathlib
import signal
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import jax

from resnet_jax.config.file import fields
from resnet_jax.errors import Interrupted
from resnet_jax.runs.meta import hash_json
from resnet_jax.runs.workdir import read_json, set_aside, write_json

_log = logging.getLogger('resnet_jax')

FILE = 'sessions.json'
DONE = 'done'


@dataclasses.dataclass
class Session:
  """What is known of one process of a run.

  Attributes:
    started: When the process was created, in seconds since 1970.
    seconds: From then to its last sign of life.
    first_step: Steps that were done when it went on.
    last_step: Steps that were done at its last sign of life.
    trained: Seconds of training that are in the state that it went on from.
    end: 'done', the name of a signal or of an error; None where it left no
      word, as one that was killed, or still runs.
  """

  started: float
  seconds: float
  first_step: int
  last_step: int
  trained: float
  end: str | None = None


@dataclasses.dataclass(frozen=True)
class Goodput:
  """Seconds of training that are in the result, of those of all sessions.

  Attributes:
    training_seconds: Seconds in which the steps of the result were done, their
      wait for input included. Steps done twice count once.
    job_seconds: Seconds of all sessions. The time between two is not the run's.
    sessions: How many there were.
    steps_lost: Steps that were done again, since a session was cut before it
      had saved them.
    since_step: Steps that were done before the sessions that are known.
  """

  training_seconds: float
  job_seconds: float
  sessions: int
  steps_lost: int
  since_step: int = 0

  @property
  def share(self) -> float:
    return self.training_seconds / self.job_seconds if self.job_seconds else 0.0

  def to_json(self) -> dict[str, Any]:
    """Its attributes, and the share as `goodput`."""
    return {'goodput': self.share} | dataclasses.asdict(self)

  def __str__(self) -> str:
    parts = [f'{self.sessions} session{"s" * (self.sessions != 1)}']
    if self.steps_lost:
      plural = 's' * (self.steps_lost != 1)
      parts.append(f'{self.steps_lost:,} step{plural} done twice')
    if self.since_step:
      parts.append(f'counted from step {self.since_step:,} on')
    return (
      f'goodput {100 * self.share:.1f} % ({self.training_seconds:,.0f} of '
      f'{self.job_seconds:,.0f} s; {", ".join(parts)})'
    )


def goodput(sessions: Sequence[Session], trained: float) -> Goodput:
  """The goodput of a run.

  Args:
    sessions: Its sessions, in their order; at least one.
    trained: Seconds of training that are in its state.
  """
  return Goodput(
    training_seconds=trained - min(s.trained for s in sessions),
    job_seconds=sum(s.seconds for s in sessions),
    sessions=len(sessions),
    steps_lost=sum(
      max(0, cut.last_step - after.first_step)
      for cut, after in itertools.pairwise(sessions)
    ),
    since_step=min(s.first_step for s in sessions),
  )


class Log:
  """The session that runs now, and those before it, in sessions.json.

  Used in a `with` statement, it notes how the session ends. Of several hosts
  the first one writes.

  Args:
    workdir: The folder of the run.
    meta: The facts that the run's checkpoints are saved with.
    began: The moment at which the session began, by time.monotonic().
    first_step: Steps that are done already.
    steps: Steps of the whole run.
    trained: Seconds of training that are in the state to go on from.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    meta: dict[str, Any],
    *,
    began: float,
    first_step: int,
    steps: int,
    trained: float,
  ) -> None:
    self._path = workdir / FILE
    self._began = began
    self._run = _identity(meta)
    self._failed = False
    before = self._read(anew=first_step == 0)
    age = time.monotonic() - began
    now = Session(time.time() - age, age, first_step, first_step, trained)
    # A command that is given again after the end is no part of the work.
    ended = bool(before) and before[-1].end == DONE
    self._again = ended and first_step >= steps
    self.sessions = before if self._again else [*before, now]
    self._write()

  def __enter__(self) -> 'Log':
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    end = kind.__name__ if kind else DONE
    if isinstance(error, Interrupted):
      end = signal.Signals(error.number).name
    if not self._again:
      self.sessions[-1].end = end
    self.alive(self.sessions[-1].last_step)

  def alive(self, done: int) -> None:
    """Gives a sign of life; `done` steps are done."""
    if not self._again:
      self.sessions[-1].seconds = time.monotonic() - self._began
      self.sessions[-1].last_step = done
      self._write()

  def goodput(self, trained: float) -> Goodput:
    """The goodput by now; `trained` seconds of training are in the state."""
    if not self._again:
      self.sessions[-1].seconds = time.monotonic() - self._began
    return goodput(self.sessions, trained)

  def _read(self, *, anew: bool) -> list[Session]:
    """The sessions before this one; of another run they are set aside."""
    if jax.process_index() or not os.path.lexists(self._path):
      return []
    try:
      run, sessions = _parse(read_json(self._path))
      if run == self._run or not anew:
        return sessions
      word, what = 'old', 'is of another run'
    except (OSError, ValueError, KeyError, TypeError):
      word, what = 'damaged', 'is damaged'
    try:
      kept = f'it is now {set_aside(self._path, word).name}'
    except OSError as e:
      kept = f'and cannot be moved: {e.strerror}'
    _log.warning(
      '%s %s, %s; the goodput of this run is counted from here on',
      self._path,
      what,
      kept,
    )
    return []

  def _write(self) -> None:
    if self._failed:
      return
    content = {
      'run': self._run,
      'sessions': [dataclasses.asdict(s) for s in self.sessions],
    }
    try:
      # Where the folder is gone, the run itself says so.
      if self._path.parent.is_dir():
        write_json(self._path, content)
    except OSError as e:
      self._failed = True
      _log.warning(
        '%s cannot be written: %s; the run goes on', self._path, e.strerror
      )


def _identity(meta: dict[str, Any]) -> str:
  """A hash that runs to the same result share."""
  config = fields(meta['config'])
  lasting = {k: v for k, v in config.items() if not k.startswith('run.')}
  return hash_json([lasting, meta['data']])


def _parse(content: Any) -> tuple[str, list[Session]]:
  """The run's identity, and its sessions.

  Raises:
    ValueError, KeyError, TypeError: it is not what was written.
  """
  sessions = [Session(**entry) for entry in content['sessions']]
  for s in sessions:
    numbers = (s.started, s.seconds, s.trained)
    if not all(type(x) in (int, float) and 0 <= x < 1e12 for x in numbers):
      raise ValueError('a time is none')
    steps = (s.first_step, s.last_step)
    if not all(type(x) is int and 0 <= x < 2**53 for x in steps):
      raise ValueError('a step is none')
    if s.end is not None and type(s.end) is not str:
      raise ValueError('an end is none')
  return content['run'], sessions
