"""Makes one job of the hosts that were started with the same coordinator."""

import math
import os
import socket
import time
from typing import Any

import jax

from resnet_jax import signals, waits
from resnet_jax.errors import Interrupted, UserError
from resnet_jax.hosts import devices, peers
from resnet_jax.hosts.board import JAX_TIMEOUT
from resnet_jax.hosts.board_process import BoardProcess
from resnet_jax.hosts.cluster import Place
from resnet_jax.hosts.lines import BEAT, Lines
from resnet_jax.hosts.peers import Peers
from resnet_jax.hosts.waiting import RETRY, Waiting
from resnet_jax.process import process_began

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
  say = Waiting(place, wait)
  board = None
  if place.index == 0:
    board = BoardProcess(place, timeout, deadline, say)
  lines, begin, heard = _gather(
    place, deadline, say, board=board, patience=timeout + RETRY
  )
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


class _NotYetError(Exception):
  """The board refuses this host, and may not when it comes again."""


def _gather(
  place: Place,
  deadline: float,
  say: Waiting,
  *,
  board: BoardProcess | None,
  patience: float,
) -> tuple[Lines, dict[str, Any], list[dict[str, Any]]]:
  """What `_greet` returns, once all hosts are there.

  Args:
    place, deadline, say: As in `_greet`.
    board: The board, if it is of this process.
    patience: Seconds in which the board may miss a host that comes again.
  """
  began, missed_by = process_began(), math.inf
  hello = {
    'host': place.index,
    'count': place.count,
    'name': socket.gethostname(),
    'pid': os.getpid(),
    'gpus': devices.allotted(),
  }
  while True:
    if board:
      board.check()
    try:
      hello['age'] = time.monotonic() - began
      return _greet(place, hello, deadline, say)
    except _NotYetError as e:
      say(str(e))
      missed_by = min(missed_by, time.monotonic() + patience)
      if time.monotonic() > missed_by:
        raise UserError(str(e)) from e
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
    time.sleep(RETRY)


def _greet(
  place: Place, hello: dict[str, Any], deadline: float, say: Waiting
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


def _hear(message: dict[str, Any], place: Place, say: Waiting) -> None:
  if 'refused' in message:
    raise UserError(message['refused'])
  if 'not yet' in message:
    raise _NotYetError(message['not yet'])
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
