"""A package that is missing ends a command in one paragraph.

`shell` says so of what is imported while a command runs. What its modules
import at their top is missed before there is a shell: a hook for errors that
nobody catches says it. This module imports little, to be there before them.
"""

import os
import sys
from types import TracebackType

from resnet_jax.errors import ExitCode


def report_uncaught() -> None:
  """Ends this process on an uncaught ImportError with `ExitCode.USER`."""
  sys.excepthook = _report


def describe(error: ImportError) -> str:
  """What is missing or unfit, and how to install it."""
  what = f'{error.name} is missing'
  if not isinstance(error, ModuleNotFoundError):
    what = f'a package is not one that we can use: {error}'
  elif not error.name:
    what = str(error)
  return (
    f'{what}; install it with {sys.executable} -m pip install -r '
    f'requirements.txt'
  )


def _report(
  kind: type[BaseException],
  error: BaseException,
  trace: TracebackType | None,
) -> None:
  if not isinstance(error, ImportError):
    sys.__excepthook__(kind, error, trace)
    return
  os.write(2, f'error: {describe(error)}\n'.encode(errors='backslashreplace'))
  os._exit(ExitCode.USER)  # the interpreter itself would end with 1
