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
import secrets
import socket
import time
from collections.abc import Iterator

import jax

from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

FILE = '.run.lock'
# Seconds after which a shared file system shows what another host has written.
_SEEN_AFTER = 10.0


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

  def note(self) -> str:
    """What the lock's file says, which no other folder's says."""
    try:
      return (self.workdir / FILE).read_text()
    except (OSError, ValueError):
      return ''

  def check_shared(self, note: str) -> None:
    """Refuses a folder that is not the one which the first host has locked.

    Of several hosts the first one writes, and all read when they go on.

    Args:
      note: The first host's `note`; '' where there is none to compare.

    Raises:
      UserError: this folder is another one.
    """
    give_up = time.monotonic() + _SEEN_AFTER
    while note and self.note() != note:
      if time.monotonic() > give_up:
        raise UserError(
          f'--workdir {self.workdir} is not the folder that host 0 has there '
          f'({FILE} in it is not the same file). All hosts need one folder: a '
          f'path on a file system that they share, and no disk of their own'
        )
      time.sleep(0.2)


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
  """Replaces the content, which messages read, and other hosts."""
  with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)
    os.fsync(file)  # other hosts look at it


def _ourselves() -> str:
  now = datetime.datetime.now().astimezone()
  return json.dumps(
    {
      'host': socket.gethostname(),
      'pid': os.getpid(),
      'since': now.isoformat(' ', 'seconds'),
      'run': secrets.token_hex(8),
    }
  )


def _holder(file: int) -> str:
  try:
    note = json.loads(os.pread(file, 4096, 0))
    return f'process {note["pid"]} on {note["host"]}, since {note["since"]}'
  except (OSError, ValueError, KeyError, TypeError):  # it is being written
    return 'another process'
