"""Says what a command waits for, once it has waited long.

A file system that does not answer, or a host that is slow, stops a thread
inside of the system: without an error, without an end, and without a word.
"""

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_T = TypeVar('_T')

_log = logging.getLogger('resnet_jax')

# Seconds of a wait until it is told, and until it is told again.
_FIRST, _AGAIN = 10.0, 60.0
_LOOK_EVERY = 1.0


@dataclasses.dataclass(eq=False)
class _Wait:
  what: str
  since: float
  next_word: float  # the moment at which it is told
  told: bool = False


_waits: set[_Wait] = set()
# By what was waited for: the longest wait that ended. What is always slow is
# told once, and again where it is twice as slow as ever before.
_longest: dict[str, float] = {}
_watched: int | None = None  # the process that has a thread for it
_speaker = ''


def speak_as(host: str) -> None:
  """Puts the name of this host, one of several, before what is told."""
  global _speaker
  _speaker = f'{host}: '


@contextlib.contextmanager
def waiting_for(what: str) -> Iterator[None]:
  """Says so where a `with` block takes long.

  Args:
    what: What the block waits for, in words.
  """
  _start_watching()
  now = time.monotonic()
  patience = max(_FIRST, 2 * _longest.get(what, 0.0))
  wait = _Wait(what, now, now + patience)
  _waits.add(wait)
  try:
    yield
  finally:
    _waits.discard(wait)
    seconds = time.monotonic() - wait.since
    if wait.told:
      _longest[what] = max(seconds, _longest.get(what, 0.0))
      _log.warning('%swaited %.0f s for %s', _speaker, seconds, what)


def each(items: Iterable[_T], what: str) -> Iterator[_T]:
  """`items`, each of them waited for."""
  iterator = iter(items)
  while True:
    try:
      with waiting_for(what):
        item = next(iterator)
    except StopIteration:
      return
    yield item


def _start_watching() -> None:
  global _watched
  if _watched != os.getpid():
    _watched = os.getpid()
    _waits.clear()  # those of a process that this one was forked from
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
  while True:
    time.sleep(_LOOK_EVERY)
    now = time.monotonic()
    for wait in list(_waits):
      if now >= wait.next_word:
        wait.next_word, wait.told = now + _AGAIN, True
        _log.warning(
          '%swaiting for %s (%.0f s so far)',
          _speaker,
          wait.what,
          now - wait.since,
        )
