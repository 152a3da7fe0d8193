"""Makes one job of the hosts that were started with the same coordinator."""

import errno
import logging
import os
import pathlib
import socket
import subprocess
import sys
import time
from typing import Any

import jax

from resnet_jax import signals, waits
from resnet_jax.errors import Interrupted, LostHost, UserError
from resnet_jax.hosts import devices, peers
from resnet_jax.hosts.board import JAX_TIMEOUT
from resnet_jax.hosts.cluster import Place
from resnet_jax.hosts.lines import BEAT, Lines
from resnet_jax.hosts.peers import Peers

_log = logging.getLogger('resnet_jax')

# Seconds between two lines that say for whom this host waits, and attempts.
_SAY_EVERY, _RETRY = 10.0, 0.5
# Seconds that a host which was sent a signal looks for the others to tell them.
_PATIENCE = 5.0


def join(place: Place, *, wait: float, timeout: float) -> list[int]:
  """Waits for the other hosts, and connects JAX with them.

  Args:
    place: This process' place in the job.
    wait: Seconds to wait for all hosts to come.
    timeout: Seconds without news after which a host is lost.

  Returns:
    How many GPUs each host should use.

  Raises:
    UserError: this host is none of the job.
    LostHost: not all hosts came in time.
  """
  deadline = time.monotonic() + wait
  say = _Waiting(place, wait)
  if place.index == 0:
    _start_board(place, timeout, deadline, say)
  lines, begin, heard = _gather(place, deadline, say)
  hosts = begin['hosts']
  peers.current = Peers(
    lines,
    place.index,
    [host['name'] for host in hosts],
    timeout=timeout,
    end=peers.end_process,
    heard=heard,
  )
  waits.speak_as(peers.current.name(place.index))
  signals.tell_of_end(peers.current.tell_signal)
  signals.release()
  _connect_jax(place, begin['port'], hosts)
  return [devices.expected(hosts, index) for index in range(place.count)]


class _Waiting:
  """Says now and then for whom this host waits, and for how long."""

  def __init__(self, place: Place, wait: float) -> None:
    self._place = place
    self._wait = wait
    self._began = time.monotonic()
    self._said, self._next = '', 1.0
    self.reason = f'host 0 is not yet at {place}'

  def __call__(self, reason: str) -> None:
    self.reason = reason
    seconds = time.monotonic() - self._began
    if seconds >= self._next or (self._said and reason != self._said):
      self._said, self._next = reason, seconds + _SAY_EVERY
      _log.info(
        'host %d of %d waits: %s (%.0f of %.0f s)',
        self._place.index,
        self._place.count,
        reason,
        seconds,
        self._wait,
      )

  def over(self) -> LostHost:
    return LostHost(
      f'host {self._place.index} of {self._place.count} has waited '
      f'{self._wait:g} seconds in vain: {self.reason}. Start all hosts within '
      f'that time, with the same --coordinator={self._place}, or wait longer '
      f'with --config.run.host_wait=SECONDS'
    )


def _start_board(
  place: Place, timeout: float, deadline: float, say: _Waiting
) -> None:
  """Starts the board of the job, which listens at the coordinator's port."""
  while True:
    try:
      server = _listen(place)
      break
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
      time.sleep(_RETRY)
  with server:
    subprocess.Popen(
      [
        sys.executable,
        *('-m', 'resnet_jax.hosts.board'),
        *map(str, (server.fileno(), place.count, timeout)),
      ],
      pass_fds=[server.fileno()],
      # It outlives this process, whose reader waits for the end of its output.
      stdin=subprocess.DEVNULL,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
      env=os.environ | {'PYTHONPATH': os.pathsep.join(_path())},
      start_new_session=True,
    )


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


def _gather(
  place: Place, deadline: float, say: _Waiting
) -> tuple[Lines, dict[str, Any], list[dict[str, Any]]]:
  """What `_greet` returns, once all hosts are there."""
  hello = {
    'host': place.index,
    'count': place.count,
    'name': socket.gethostname(),
    'pid': os.getpid(),
    'gpus': devices.allotted(),
  }
  while True:
    try:
      return _greet(place, hello, deadline, say)
    except socket.gaierror as e:
      say(f'{place.address} has no address ({e.strerror})')
    except TimeoutError:
      say(f'no answer from {place}')
    except ValueError as e:
      raise UserError(
        f'another program listens at --coordinator={place}; name a port of '
        f'{place.address} that is free'
      ) from e
    except OSError as e:
      say(f'host 0 is not yet at {place} ({e.strerror or e})')
    if signals.noted():  # host 0 may come within seconds, to be told
      deadline = min(deadline, time.monotonic() + _PATIENCE)
    if time.monotonic() > deadline:
      signals.release()
      raise say.over()
    time.sleep(_RETRY)


def _greet(
  place: Place, hello: dict[str, Any], deadline: float, say: _Waiting
) -> tuple[Lines, dict[str, Any], list[dict[str, Any]]]:
  """The connection, `begin`, and what has come after it already."""
  connection = socket.create_connection((place.address, place.port), timeout=5)
  connection.settimeout(BEAT)
  lines = Lines(connection)
  try:
    number = signals.noted()
    lines.send({'hello': hello} | (peers.end_by(number) if number else {}))
    while True:
      if number := signals.noted():
        lines.send(peers.end_by(number))
        signals.release()
      try:
        messages = lines.receive()
      except TimeoutError:
        messages = []
      for i, message in enumerate(messages):
        if 'begin' in message:
          return lines, message['begin'], messages[i + 1 :]
        _hear(message, place, say)
      lines.send({'beat': 1})
      say(say.reason)
      if time.monotonic() > deadline:
        raise say.over()
  except BaseException:
    lines.close()
    raise


def _hear(message: dict[str, Any], place: Place, say: _Waiting) -> None:
  if 'refused' in message:
    raise UserError(message['refused'])
  if 'signal' in message:
    line = peers.interruption(message, place.count)
    raise Interrupted(line, message['signal'])
  if missing := message.get('missing'):
    numbers = ', '.join(map(str, missing))
    say(f'host{"s" * (len(missing) > 1)} {numbers} missing')


def _connect_jax(place: Place, port: int, hosts: list[dict[str, Any]]) -> None:
  # Has no effect where there are GPUs, and is needed where there are none.
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  # It would take SIGTERM for itself, and the loop ask for it at every step.
  jax.config.update('jax_enable_preemption_service', False)
  jax.distributed.initialize(
    place.at(port),
    place.count,
    place.index,
    local_device_ids=devices.share(hosts, place.index),
    cluster_detection_method='deactivate',
    # JAX would serve in this process, too; nobody is told of that address.
    coordinator_bind_address=f'127.0.0.1:{_free_port()}',
    heartbeat_timeout_seconds=JAX_TIMEOUT,
    shutdown_timeout_seconds=JAX_TIMEOUT,
  )


def _free_port() -> int:
  with socket.create_server(('127.0.0.1', 0)) as probe:
    return probe.getsockname()[1]
