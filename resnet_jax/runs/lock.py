"""The lock of a run's folder, for as long as the run lasts.

Two runs in one folder would replace each other's records and checkpoints. The
lock is the system's, on an open file, so that it ends with the process however
that ends. Nobody who only reads needs it.
"""

import contextlib
import datetime
import fcntl
import json
import logging
import os
import pathlib
import socket
from collections.abc import Iterator

import jax

from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

FILE = '.run.lock'


class Hold:
  """A folder that is this run's until the end of `hold`.

  Attributes:
    workdir: The folder.

  Args:
    descriptor: The folder, open: nothing new takes its identity meanwhile.
  """

  def __init__(self, workdir: pathlib.Path, descriptor: int) -> None:
    self.workdir = workdir
    self._descriptor = descriptor

  def check(self) -> None:
    """Refuses to write where the folder is no longer the one that was opened.

    Orbax makes the folders that it misses: of a folder that was moved, only the
    checkpoints from then on would be left in the old place.

    Raises:
      UserError: the folder was moved or deleted.
    """
    try:
      ours, there = os.fstat(self._descriptor), os.stat(self.workdir)
      same = os.path.samestat(ours, there)
    except OSError:
      same = False
    if not same:
      raise UserError(
        f'--workdir {self.workdir} was moved or deleted in mid-run, so '
        f'nothing more is written. Where it was moved, put it back or name its '
        f'new place with --workdir=DIR; the same command then goes on from its '
        f'last checkpoint'
      )


@contextlib.contextmanager
def hold(workdir: pathlib.Path) -> Iterator[Hold]:
  """Keeps other runs out of a folder; of several hosts the first locks it.

  A flock is left by a process that dies in any way, and NFS passes it on to
  other machines; it needs a file that is open for writing there.

  Raises:
    UserError: another process has the folder; names it.
  """
  with contextlib.ExitStack() as stack:
    folder = os.open(workdir, os.O_RDONLY)
    stack.callback(os.close, folder)
    if jax.process_index() == 0:
      file = os.open(workdir / FILE, os.O_RDWR | os.O_CREAT, 0o644)
      stack.callback(os.close, file)
      if _lock(file, workdir):
        _write(file, _ourselves())
        # Before the descriptor is closed, which frees the lock.
        stack.callback(_write, file, '')
    yield Hold(workdir, folder)


def _lock(file: int, workdir: pathlib.Path) -> bool:
  """Whether the file is locked now; False where the system has no locks."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except (BlockingIOError, PermissionError) as e:
    raise UserError(
      f'--workdir {workdir} is in use by {_holder(file)}; two runs in one '
      f'folder would spoil each other. Wait for it, stop it, or name another '
      f'--workdir'
    ) from e
  except OSError as e:
    _log.warning(
      '--workdir %s cannot be locked (%s): see to it that no second run '
      'writes to it',
      workdir,
      e.strerror or e,
    )
    return False
  return True


def _write(file: int, text: str) -> None:
  """Replaces the content, which only messages read."""
  with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)


def _ourselves() -> str:
  now = datetime.datetime.now().astimezone()
  return json.dumps(
    {
      'host': socket.gethostname(),
      'pid': os.getpid(),
      'since': now.isoformat(' ', 'seconds'),
    }
  )


def _holder(file: int) -> str:
  try:
    note = json.loads(os.pread(file, 4096, 0))
    return f'process {note["pid"]} on {note["host"]}, since {note["since"]}'
  except (OSError, ValueError, KeyError, TypeError):  # it is being written
    return 'another process'
