"""Messages between hosts: one JSON object a line, over TCP."""

import json
import socket
import threading
from typing import Any

# Seconds between two signs of life.
BEAT = 1.0
# Bytes; more than any message of ours, so that a stranger's is not kept.
_LONGEST = 2**16


class Lines:
  """The two ends of a connection.

  Args:
    connection: A connected socket.
  """

  def __init__(self, connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    self._connection = connection
    self._buffer = b''
    # The handler of a signal may send while its own thread does.
    self._sending = threading.RLock()

  def fileno(self) -> int:
    return self._connection.fileno()

  def send(self, message: dict[str, Any]) -> None:
    """Sends one message.

    Raises:
      OSError: the connection is lost, or its other end does not read.
    """
    with self._sending:
      self._connection.sendall(json.dumps(message).encode() + b'\n')

  def receive(self) -> list[dict[str, Any]]:
    """The messages that have come; waits for at least a byte of them.

    Raises:
      OSError: the connection is lost or was closed, or a time limit of the
        socket is over.
      ValueError: the other end speaks another language.
    """
    data = self._connection.recv(_LONGEST)
    if not data:
      raise ConnectionError('the connection was closed')
    *lines, self._buffer = (self._buffer + data).split(b'\n')
    if len(self._buffer) > _LONGEST:
      raise ValueError('a line without end')
    try:
      messages = [json.loads(line) for line in lines]
    except RecursionError as e:
      raise ValueError('nested too deeply') from e
    if not all(isinstance(message, dict) for message in messages):
      raise ValueError('not an object')
    return messages

  def close(self) -> None:
    self._connection.close()
