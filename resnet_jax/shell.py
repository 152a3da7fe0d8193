"""The shell around every command: errors as one paragraph, and exit codes."""

import contextlib
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

from resnet_jax import signals
from resnet_jax.console import console
from resnet_jax.errors import ExitCode, Interrupted, UserError
from resnet_jax.text import paragraph

_log = logging.getLogger('resnet_jax')

# Errors of the system that come and go with networks and other machines.
_PASSING = {
  errno.EIO,
  errno.ESTALE,
  errno.ETIMEDOUT,
  errno.ECONNRESET,
  errno.EHOSTUNREACH,
  errno.ENETUNREACH,
  errno.EAGAIN,
  errno.EMFILE,
  errno.ENFILE,
  errno.ENOMEM,
}


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
    yield
    sys.stdout.flush()
  except BrokenPipeError:  # nobody reads on, as after `| head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + signal.SIGPIPE)
  except (UserError, OSError, ImportError) as e:
    console.clear()
    if show_traceback():
      raise
    message = paragraph(_message(e, os_error_mend))
    print(f'error: {message}', file=sys.stderr)
    sys.exit(_code(e))
  except Interrupted as e:
    console.clear()
    _log.info('%s', e)
    sys.exit(128 + e.number)
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _code(error: Exception) -> ExitCode:
  passes = isinstance(error, OSError) and error.errno in _PASSING
  return ExitCode.CRASH if passes else ExitCode.USER


def _message(error: Exception, os_error_mend: str) -> str:
  if isinstance(error, OSError):
    mend = f'. {os_error_mend}' if os_error_mend else ''
    return f'the system says: {error}{mend}'
  if isinstance(error, ImportError):
    missing = error.name or error
    return f'{missing} is missing; pip install -r requirements.txt'
  return str(error)
