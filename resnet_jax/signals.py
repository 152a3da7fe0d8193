"""SIGINT and SIGTERM end a command in one line, whatever it is doing.

An exception that a handler raises is printed as a traceback, or lost, where it
meets the code of a library: in an import, a callback, a destructor. So nothing
is raised: the process ends, as by SIGKILL, which loses nothing that was saved.
This module imports little, so that it can be called before all others.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)

_lock = threading.RLock()
_ending = False
_clean_up: Callable[[], object] | None = None
_tell: Callable[[int], object] | None = None
_holding = False
_noted = 0
_watched: int | None = None  # the process that has a thread for it


def is_our_command() -> bool:
  """Whether this process is `python -m resnet_jax...`, and no user of ours."""
  words = [*sys.orig_argv, '-m', '']
  return words[words.index('-m') + 1].split('.')[0] == 'resnet_jax'


def end_at_once(clean_up: Callable[[], object] | None = None) -> None:
  """Ends this process by SIGINT with exit code 130, by SIGTERM with 143.

  A signal that is ignored, as by nohup or in the background of a script, stays
  so; for code that saves first, `signal.signal` takes the handlers' place.

  Args:
    clean_up: Called before the end, to take a progress line away.
  """
  global _clean_up
  _clean_up = clean_up
  for number in _NUMBERS:
    if signal.getsignal(number) != signal.SIG_IGN:
      signal.signal(number, _end)
  _start_watching()


def hold() -> None:
  """Only notes the first signal, until `release`.

  Several hosts that are about to meet would wait for one that ended before.
  """
  global _holding
  _holding = True


def noted() -> int:
  """The number of the signal that was held back, or 0."""
  return _noted


def release() -> None:
  """Acts on the signal that was held back, and on others from now on."""
  global _holding
  _holding = False
  if _noted:
    _end(_noted, None)


def tell_of_end(tell: Callable[[int], object]) -> None:
  """Calls `tell` with the number of a signal that ends this process."""
  global _tell
  _tell = tell


def tidy() -> None:
  """Takes the progress line away, as before the end by a signal."""
  if _clean_up:
    _clean_up()


def _start_watching() -> None:
  """Starts a thread that acts while the main one is inside of a library.

  Python calls handlers between two steps of the main thread, and the
  compilation of a large network is one step of minutes.
  """
  global _watched
  if _watched == os.getpid():
    return
  _watched = os.getpid()
  readable, writable = os.pipe()
  os.set_blocking(writable, False)
  signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
  threading.Thread(target=_watch, args=(readable,), daemon=True).start()


def _watch(readable: int) -> None:
  while numbers := os.read(readable, 1):
    if not _holding and signal.getsignal(numbers[0]) is _end:
      _end(numbers[0], None)


def _end(number: int, _: FrameType | None) -> None:
  global _ending, _noted
  with _lock:  # both threads come here, and the first ends both
    if _holding and not _noted:
      _noted = number
      return
    if _ending:
      return
    _ending = True
    # Nobody may read on, or the signal came in the middle of a print.
    with contextlib.suppress(Exception):
      tidy()
      sys.stdout.flush()
    with contextlib.suppress(Exception):
      if _tell:
        _tell(number)
    line = f'interrupted by {signal.Signals(number).name}\n'
    with contextlib.suppress(OSError):
      os.write(2, line.encode())
    os._exit(128 + number)


def _forget() -> None:
  """A child that is forked must not wake the watching thread of its parent."""
  with contextlib.suppress(ValueError):  # it is not the main thread
    signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget)
