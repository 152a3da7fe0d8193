"""The board on which the hosts of a job tell each other how they are.

  python -m resnet_jax.hosts.board DESCRIPTOR COUNT TIMEOUT PARENT

A process beside host 0, which starts it. It gathers the hosts, then serves JAX
as coordinator, and passes on what a host says to all others. It is a process of
its own because JAX aborts every host at once, with a stack of C++, where the
process that serves it dies: this one does not when host 0 does, and tells the
others.

A host says `hello`, and hears `missing` until all have come, then `begin`. From
then on every line is for the others; a host that leaves without an `end` has
`gone`. Where a signal ends one before all have come, those who come are told.

Anybody can connect: what is not of ours is dropped, and harms nobody.
"""

import math
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from typing import Any, cast

from resnet_jax.hosts.lines import BEAT, Lines

# Seconds; long enough that JAX never judges before we do.
JAX_TIMEOUT = 24 * 3600
# Seconds that a connection may last without saying which host it is.
_SHY = 10.0
# Connections of that kind that are kept at once.
_STRANGERS = 100
_SILENT = 'without a word (was its process killed?)'


class Board:
  """The hosts that are there, and what is passed between them.

  Args:
    server: A socket that listens for hosts.
    count: How many hosts make the job.
    timeout: Seconds without a sign of life after which a host is lost.
    parent: The process of host 0; until all have come, its end is the board's.
  """

  def __init__(
    self,
    server: socket.socket,
    count: int,
    *,
    timeout: float,
    parent: int | None = None,
  ) -> None:
    self._server = server
    self._count = count
    self._timeout = timeout
    self._selector = selectors.DefaultSelector()
    self._selector.register(server, selectors.EVENT_READ)
    # Those who have not said which host they are, and since when.
    self._strangers: dict[Lines, float] = {}
    self._hosts: dict[int, Lines] = {}
    self._hellos: dict[int, dict[str, Any]] = {}
    self._heard: dict[int, float] = {}
    self._ended: set[int] = set()
    self._service: Any = None
    # The message of a host that a signal ended before all had come.
    self._signal: dict[str, Any] = {}
    self._signal_told = 0.0
    self._parent = parent

  def serve(self) -> None:
    """Serves until all hosts have left, or host 0 before all had come."""
    beat = looked = time.monotonic()
    came: list[Any] = [self._server]  # what a host said that is gone by now
    while not self._is_over(idle=not came):
      came = self._selector.select(timeout=BEAT)
      for key, _ in came:
        if key.fileobj is self._server:
          self._accept()
        else:
          self._hear(cast(Lines, key.fileobj))
      now = time.monotonic()
      if now - looked > BEAT + self._timeout / 2:
        # This process itself was stopped, and heard nobody meanwhile.
        self._heard = dict.fromkeys(self._heard, now)
      looked = now
      if now - beat >= BEAT:
        beat = now
        self._tell_all({'beat': 1})
        self._look_for_lost(now)
    for lines in [*self._hosts.values(), *self._strangers]:
      self._drop(lines)
    self._selector.close()

  def _is_over(self, *, idle: bool) -> bool:
    if self._service:
      return not self._hosts
    if self._signal:  # those who come within the time are told
      told = len(self._hellos) == self._count
      return told or time.monotonic() > self._signal_told + self._timeout
    first_left = 0 in self._hellos and 0 not in self._hosts
    orphan = self._parent not in (None, os.getppid())
    return first_left or (orphan and idle)

  def _accept(self) -> None:
    try:
      connection, _ = self._server.accept()
    except OSError:  # there are too many already
      self._drop_strangers(0)
      return
    connection.settimeout(BEAT)
    lines = Lines(connection)
    self._strangers[lines] = time.monotonic()
    self._selector.register(lines, selectors.EVENT_READ)
    self._drop_strangers(_STRANGERS)

  def _drop_strangers(self, most: int) -> None:
    """Leaves the `most` latest of them."""
    for lines in list(self._strangers)[: max(len(self._strangers) - most, 0)]:
      self._drop(lines)

  def _hear(self, lines: Lines) -> None:
    try:
      for message in lines.receive():
        if lines in self._strangers:
          self._greet(lines, message)
        for host in [h for h, x in self._hosts.items() if x is lines]:
          self._heard[host] = time.monotonic()
          self._pass_on(host, message)
    except Exception:  # of what a stranger sends, too
      self._drop(lines)
      for host in [h for h, x in self._hosts.items() if x is lines]:
        self._leave(host, _SILENT)

  def _greet(self, lines: Lines, message: dict[str, Any]) -> None:
    hello = message['hello']
    host = int(hello['host'])
    if not 0 <= host < self._count:
      raise ValueError(f'host {host}')
    refusal, final = self._refusal(host, hello)
    if refusal:
      lines.send({'refused': refusal} if final else {'not yet': refusal})
      if final and not self._service:  # the others would wait for this host
        self._tell_all({'refused': refusal})
      raise ConnectionError(refusal)
    if self._signal and hello['age'] < time.monotonic() - self._signal_told:
      # All are started again, and this board is in their way.
      self._signal_told = -math.inf
      raise ConnectionError('of another job')
    del self._strangers[lines]
    self._hosts[host], self._hellos[host] = lines, hello
    self._heard[host] = time.monotonic()
    missing = sorted(set(range(self._count)) - self._hosts.keys())
    if self._signal:
      lines.send(self._signal)
    elif missing:
      self._tell_all({'missing': missing})
    elif 'signal' not in message:
      self._begin()

  def _refusal(self, host: int, hello: dict[str, Any]) -> tuple[str, bool]:
    """Why a host cannot take part, or '', and whether that is for ever.

    One that comes again may find itself before it was missed, and a job that
    is about to end.
    """
    if hello['count'] != self._count:
      return (
        f'host {host} was started with --num_hosts={hello["count"]}, and host '
        f'0 with --num_hosts={self._count}: start all with the same'
      ), True
    if host in self._hosts:
      other = self._hellos[host]
      return (
        f'--host={host} was given twice: process {other["pid"]} on '
        f'{other["name"]} is host {host} already. Give each host a number of '
        f'its own, from 0 to {self._count - 1}'
      ), False
    if self._service:
      return (
        'the job has begun without this process; start all hosts again together'
      ), False
    return '', False

  def _begin(self) -> None:
    from jaxlib import _jax

    with socket.create_server(('', 0)) as probe:
      port = probe.getsockname()[1]
    self._service = _jax.get_distributed_runtime_service(
      f'[::]:{port}' if socket.has_dualstack_ipv6() else f'0.0.0.0:{port}',
      self._count,
      heartbeat_timeout=JAX_TIMEOUT,
      shutdown_timeout=JAX_TIMEOUT,
      recoverable=True,  # otherwise it aborts the hosts when one is lost
    )
    hellos = [self._hellos[host] for host in range(self._count)]
    self._tell_all({'begin': {'port': port, 'hosts': hellos}})

  def _pass_on(self, host: int, message: dict[str, Any]) -> None:
    content = {k: v for k, v in message.items() if k not in ('hello', 'beat')}
    if not content:
      return
    content['from'] = host
    if 'end' in content:
      self._ended.add(host)
    if 'signal' in content and not self._service:
      self._signal, self._signal_told = content, time.monotonic()
    self._tell_all(content, but=host)

  def _look_for_lost(self, now: float) -> None:
    for lines, since in list(self._strangers.items()):
      if now - since > _SHY:
        self._drop(lines)
    for host, heard in list(self._heard.items()):
      if now - heard > self._timeout:
        self._leave(
          host, f'without a sign of life for {self._timeout:g} seconds'
        )

  def _leave(self, host: int, how: str) -> None:
    if host not in self._hosts:  # telling of one, another was found lost
      return
    del self._heard[host]
    self._drop(self._hosts.pop(host))
    if self._service and host not in self._ended:
      self._tell_all({'gone': host, 'how': how})
    elif not self._service:
      missing = sorted(set(range(self._count)) - self._hosts.keys())
      self._tell_all({'missing': missing})

  def _tell_all(self, message: dict[str, Any], but: int | None = None) -> None:
    for host, lines in list(self._hosts.items()):
      if host != but:
        try:
          lines.send(message)
        except OSError:
          self._leave(host, _SILENT)

  def _drop(self, lines: Lines) -> None:
    self._strangers.pop(lines, None)
    if lines.fileno() >= 0:  # it may be closed already
      self._selector.unregister(lines)
      lines.close()


def main(descriptor: int, count: int, timeout: float, parent: int) -> None:
  """Serves on an open socket, until the hosts have left.

  What ends the hosts, as `scancel` or ^C, must not end the board before them.
  """
  for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
  code = 0
  try:
    with socket.socket(fileno=descriptor) as server:
      Board(server, count, timeout=timeout, parent=parent).serve()
  except Exception:
    traceback.print_exc()
    code = 1
  os._exit(code)  # JAX's service would wait for hosts that are gone


if __name__ == '__main__':
  main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
