"""The process of the board, which host 0 starts (see board.py)."""

import errno
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from resnet_jax import signals
from resnet_jax.errors import LostHost, UserError
from resnet_jax.hosts.cluster import Place
from resnet_jax.hosts.waiting import RETRY, Waiting


class BoardProcess:
  """The board of the job, which host 0 starts at the coordinator's port."""

  def __init__(
    self, place: Place, timeout: float, deadline: float, say: Waiting
  ) -> None:
    self._words = tempfile.TemporaryFile()  # noqa: SIM115
    with _listening(place, deadline, say) as server:
      self._process = subprocess.Popen(
        [
          *(sys.executable, '-P', '-m', 'resnet_jax.hosts.board'),
          *map(str, (server.fileno(), place.count, timeout, os.getpid())),
        ],
        pass_fds=[server.fileno()],
        # It outlives this process, whose reader waits for the end of its
        # output.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=self._words,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(_path())},
        start_new_session=True,
      )

  def check(self) -> None:
    """Refuses to wait for a board that is gone.

    Raises:
      LostHost: with its last words.
    """
    if (code := self._process.poll()) is not None:
      self._words.seek(0)
      words = self._words.read().decode(errors='replace').strip().splitlines()
      last = f': {words[-1]}' if words else ''
      raise LostHost(
        f'the process in which host 0 gathers the others (python -m '
        f'resnet_jax.hosts.board) has ended with {code}{last}. Start all hosts '
        f'again'
      )


def _listening(place: Place, deadline: float, say: Waiting) -> socket.socket:
  """A socket at the coordinator's port, once that is free."""
  while True:
    try:
      return _listen(place)
    except OSError as e:
      reason = os.strerror(e.errno or 0)
      problem = f'port {place.port} cannot be listened on ({reason})'
      if e.errno != errno.EADDRINUSE:  # a job before may still be leaving it
        raise UserError(f'{problem}; name another in --coordinator') from e
      say(f'its {problem}')
      if signals.noted():
        signals.release()
      if time.monotonic() > deadline:
        raise say.over() from e
      time.sleep(RETRY)


def _path() -> list[str]:
  """PYTHONPATH, after the folder of this package."""
  root = pathlib.Path(__file__).resolve().parents[2]
  return [str(root), *os.environ.get('PYTHONPATH', '').split(os.pathsep)]


def _listen(place: Place) -> socket.socket:
  """A socket at the coordinator's port, closed to others where it can be."""
  if place.address in ('localhost', '127.0.0.1'):
    return socket.create_server(('127.0.0.1', place.port))
  if socket.has_dualstack_ipv6():
    return socket.create_server(
      ('', place.port), family=socket.AF_INET6, dualstack_ipv6=True
    )
  return socket.create_server(('', place.port))
