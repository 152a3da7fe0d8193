"""The shell around every command: errors as one paragraph, and exit codes."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

from resnet_jax import memory, missing, signals
from resnet_jax.console import console
from resnet_jax.errors import (
  ExitCode,
  Interrupted,
  LostHost,
  PassingError,
  UserError,
  first_line,
  may_pass,
)
from resnet_jax.hosts import peers
from resnet_jax.text import paragraph

# Seconds in which the news may come that another host caused this one's error:
# a collective that broke off, a checkpoint that was not written by both.
_LATE: dict[int, float] = {ExitCode.CRASH: 5.0, ExitCode.USER: 1.0}


@contextlib.contextmanager
def shell(
  *,
  os_error_mend: str = '',
  show_traceback: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
  """Runs a command in a `with` block.

  An error that the user can mend, one of the system (a full disk) and a missing
  package become one paragraph on stderr and exit code 2. SIGINT and SIGTERM end
  the command at once (see `signals`), unless its own code saves first; the exit
  code is 128 above the signal's number. Where nobody reads stdout any more, it
  ends in silence, as by SIGPIPE.

  Args:
    os_error_mend: A sentence on what to do when the system refuses something.
    show_traceback: Whether errors are raised instead, for developers.

  Raises:
    SystemExit: with the exit code, unless the command ends well.
  """
  numbers = (signal.SIGINT, signal.SIGTERM)
  before = {number: signal.getsignal(number) for number in numbers}
  signals.end_at_once(console.clear)
  try:
    with memory.told():
      yield
    sys.stdout.flush()
    _tell_others(0)
  except SystemExit as e:  # by which absl ends what went well, too
    _tell_others(e.code if isinstance(e.code, int) else 0)
    raise
  except BrokenPipeError:  # nobody reads on, as after `| head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _exit(128 + signal.SIGPIPE)
  except (UserError, LostHost, OSError, ImportError) as e:
    console.clear()
    code, message = _code(e), paragraph(_message(e, os_error_mend))
    _tell_others(code, message)
    if show_traceback():
      raise
    print(f'error: {message}', file=sys.stderr)
    _exit(code)
  except Interrupted as e:
    console.clear()
    _tell_others(128 + e.number)
    print(paragraph(str(e)), flush=True)
    _exit(128 + e.number)
  except Exception as e:
    console.clear()
    if not peers.current:
      raise
    _tell_others(ExitCode.CRASH, f'{type(e).__name__}: {first_line(e)}')
    traceback.print_exc()
    _exit(ExitCode.CRASH)
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _tell_others(code: int, text: str = '') -> None:
  """Tells the other hosts how this one ends, unless theirs is the cause."""
  if peers.current:
    if code in _LATE:
      peers.current.last_words(_LATE[code])
    peers.current.tell(code, text)


def _exit(code: int) -> None:
  """Ends the command; of several hosts without JAX, which waits for all."""
  if not peers.current:
    sys.exit(code)
  with contextlib.suppress(OSError):
    sys.stdout.flush()
    sys.stderr.flush()
  os._exit(code)


def _code(error: Exception) -> ExitCode:
  if isinstance(error, LostHost):
    return ExitCode.LOST_HOST
  passes = isinstance(error, PassingError) or (
    isinstance(error, OSError) and may_pass(error.errno)
  )
  return ExitCode.CRASH if passes else ExitCode.USER


def _message(error: Exception, os_error_mend: str) -> str:
  if isinstance(error, OSError):
    mend = f'. {os_error_mend}' if os_error_mend else ''
    return f'the system says: {error}{mend}'
  if isinstance(error, ImportError):
    return missing.describe(error)
  return str(error)
