"""The exceptions that end a command in one paragraph, and its exit codes."""

import difflib
import enum
import errno
from collections.abc import Iterable


class ExitCode(enum.IntEnum):
  """How a command ended, for launchers; after a signal it is 128 + its number.

  Attributes:
    CRASH: An error of ours or of a library, with a traceback, or one of the
      system that may pass: started again, the command may succeed.
    USER: An error that the user must mend first.
    LOST_HOST: Another host crashed or was lost. Started again on all hosts, the
      run goes on from its last checkpoint.
  """

  CRASH = 1
  USER = 2
  LOST_HOST = 75


class UserError(Exception):
  """Something the user can mend; the message says how.

  Commands print it as one paragraph, without a traceback, and exit with 2.
  """


class PassingError(UserError):
  """One that may pass by itself, as of a file system that is not there now.

  The exit code is `ExitCode.CRASH`: launchers start the command again.
  """


class LostHost(Exception):
  """Another host did not come, or is gone; the message says which.

  Commands print it as one paragraph and exit with `ExitCode.LOST_HOST`.
  """


class Interrupted(Exception):
  """A signal told the command to stop, and everything is saved.

  Attributes:
    number: The number of the signal; the exit code is 128 above it.
  """

  def __init__(self, message: str, number: int) -> None:
    super().__init__(message)
    self.number = number


def may_pass(error_number: int | None) -> bool:
  """Whether an error of the system comes and goes with networks and others."""
  return error_number in (
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
  )


def did_you_mean(word: str, words: Iterable[str]) -> str:
  """` (did you mean 'x'?)` where one of `words` is near `word`, else ''."""
  match = difflib.get_close_matches(word, list(words), 1)
  return f' (did you mean {match[0]!r}?)' if match else ''


def first_line(error: Exception) -> str:
  """The first line of a library's error, short enough to stand in our own."""
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0].rstrip('.')[:200]
