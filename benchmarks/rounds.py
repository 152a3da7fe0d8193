"""Subjects in processes of their own, which take turns round by round.

  with Worker('benchmarks.ours:training', spec) as worker:
    worker.facts            # what the subject tells about itself
    worker.round(repeats)   # images (or other units) per second

Each side of a comparison has a process, so that neither shares threads, memory
or settings with the other. A process that has no turn waits for a message and
takes no time. Processes start anew (spawn), with the environment of this one.
"""

import dataclasses
import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

# Work to repeat: the number of times -> amount done, and the seconds that it
# took if they are not those on the wall.
Work = Callable[[int], tuple[float, float | None]]
# A subject: its spec -> its work, and facts about it for the report.
Maker = Callable[[Any], tuple[Work, dict[str, Any]]]

# The most that one round is made longer than a single repetition.
_MOST_REPEATS = 10_000


@dataclasses.dataclass
class Unavailable(Exception):
  """A subject cannot be measured here; `why` is one line for the user."""

  why: str

  def __str__(self) -> str:
    return self.why


class Worker:
  """A subject in its own process.

  Args:
    maker: The function that makes it, as 'module:function'.
    spec: The argument of that function; it travels to the process.
    environment: Variables for that process, beside those of this one.

  Raises:
    Unavailable: the subject could not be made.
  """

  def __init__(
    self,
    maker: str,
    spec: Any,
    environment: Mapping[str, str] | None = None,
  ) -> None:
    context = multiprocessing.get_context('spawn')
    self._pipe, theirs = context.Pipe()
    self._process = context.Process(
      target=_serve, args=(theirs, maker, spec), daemon=True
    )
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
      self._process.start()
    finally:
      os.environ.clear()
      os.environ.update(before)
    theirs.close()
    try:
      self.facts: dict[str, Any] = self._receive()
    except Unavailable:
      self.close()
      raise

  def __enter__(self) -> 'Worker':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def round(self, repeats: int) -> tuple[float, float]:
    """The amount done per second, and the seconds that it took."""
    self._pipe.send(repeats)
    rate_and_seconds: tuple[float, float] = self._receive()
    return rate_and_seconds

  def close(self) -> None:
    """Ends the process."""
    self._pipe.close()
    self._process.join(10)
    if self._process.is_alive():
      self._process.kill()
      self._process.join()

  def _receive(self) -> Any:
    try:
      answer = self._pipe.recv()
    except (EOFError, ConnectionResetError) as e:
      self._process.join(10)
      raise Unavailable(
        f'its process ended with code {self._process.exitcode}'
      ) from e
    if isinstance(answer, Unavailable):
      raise answer
    return answer


def interleave(
  workers: Mapping[str, Worker], *, rounds: int, seconds: float
) -> dict[str, list[float]]:
  """Rates of each worker, which take turns in every round.

  Args:
    workers: The sides by name, warmed up by their makers.
    rounds: Turns of each side.
    seconds: The length of a turn to aim at; one repetition may take longer.
  """
  repeats = {}
  for name, worker in workers.items():
    _, once = worker.round(1)
    repeats[name] = min(_MOST_REPEATS, max(1, round(seconds / once)))
  rates: dict[str, list[float]] = {name: [] for name in workers}
  for _ in range(rounds):
    for name, worker in workers.items():
      rates[name].append(worker.round(repeats[name])[0])
  return rates


def facts(
  maker: str, spec: Any, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
  """The facts of a subject whose process ends with them.

  Raises:
    Unavailable: the subject could not be made.
  """
  with Worker(maker, spec, environment) as worker:
    return worker.facts


def timed(work: Work, repeats: int) -> tuple[float, float]:
  """The amount done per second, and the seconds that it took."""
  start = time.perf_counter()
  amount, seconds = work(repeats)
  seconds = seconds or time.perf_counter() - start
  return amount / seconds, seconds


def nothing(repeats: int) -> tuple[float, None]:
  """The work of a subject that has only facts."""
  raise RuntimeError('there is nothing to repeat')


def _serve(pipe: Connection, maker: str, spec: Any) -> None:
  """Makes the subject and repeats its work, until the other end closes.

  The process prints nothing on stdout, which is the report's.
  """
  os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
  try:
    module, name = maker.split(':')
    make: Maker = getattr(importlib.import_module(module), name)
    work, about = make(spec)
    pipe.send(about)
    while True:
      pipe.send(timed(work, pipe.recv()))
  except (EOFError, BrokenPipeError, KeyboardInterrupt):
    pass
  except Unavailable as e:
    pipe.send(e)
  except ImportError as e:
    pipe.send(Unavailable(f'{e.name or e} is not installed'))
  except Exception as e:
    lines = str(e).strip().splitlines() or ['']
    pipe.send(Unavailable(f'{type(e).__name__}: {lines[0]}'))
