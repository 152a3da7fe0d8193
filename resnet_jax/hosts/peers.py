"""What this host tells the others beside the collectives, and hears of them.

A host that ends, by an error or a signal, leaves the others in a collective
that will never be complete. So it says why, by way of the board, and the others
end as well, each with one paragraph. One that is killed or cut off is missed.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from resnet_jax import signals
from resnet_jax.errors import ExitCode
from resnet_jax.hosts.lines import BEAT, Lines
from resnet_jax.text import paragraph


class Peers:
  """The other hosts of this job.

  Args:
    lines: The connection with the board; the job has begun.
    index: The number of this host.
    names: The names of all hosts' machines.
    timeout: Seconds without news of the board after which it is given up.
    end: Ends this process, given the last words and the exit code.
    heard: Messages that have come already.
  """

  def __init__(
    self,
    lines: Lines,
    index: int,
    names: list[str],
    *,
    timeout: float,
    end: Callable[[str, int], None],
    heard: Sequence[dict[str, Any]] = (),
  ) -> None:
    self.index = index
    self.names = names
    self._lines = lines
    self._timeout = timeout
    self._end = end
    self._lock = threading.Lock()
    self._ending = False
    self._told = False
    # The agreement on the last step, see `last_step`.
    self._stop = 0
    self._bound = 0
    self._bounds: dict[int, int] = {}
    self._all_bound = threading.Condition()
    for message in heard:
      self._hear(message)
    threading.Thread(target=self._listen, daemon=True).start()

  def name(self, host: int) -> str:
    """`host 1 of 2 (its machine)`."""
    return f'host {host} of {len(self.names)} ({self.names[host]})'

  def last_step(
    self, done: int, signal_number: int, *, bound: int
  ) -> tuple[int, int]:
    """The signal to stop by, or 0, and how many steps are done at the stop.

    Called by every host before each step. Hosts run ahead of each other by some
    steps, and a step that one has begun all must do. So each says how far it is
    bound to go, once it hears of a signal, and the farthest decides.

    Args:
      done: Steps that are done.
      signal_number: The signal that this host was sent, or 0.
      bound: Steps that will be done where there is no signal yet.
    """
    with self._all_bound:
      if not self._stop and not signal_number:
        self._bound = bound
        return 0, 0
      if not self._stop:
        self._bound = done
        self._send({'stop': signal_number})
        self._note_stop(signal_number)
      # A host that is lost meanwhile ends this one.
      self._all_bound.wait_for(lambda: len(self._bounds) == len(self.names))
      return self._stop, max(self._bounds.values())

  def last_words(self, wait: float) -> None:
    """Claims the end of this process; called before it prints why it ends.

    Does not return where the end of another host explains it, which may become
    known only after the error that it causes here.

    Args:
      wait: Seconds to wait for such news.
    """
    time.sleep(wait)
    with self._lock:
      if not self._ending:
        self._ending = True
        return
    while True:  # until the listening thread has ended the process
      time.sleep(1)

  def tell(self, code: int, text: str = '') -> None:
    """Tells the others that this host ends, with an exit code, and why."""
    self._told = True
    self._send({'end': code, 'text': text})

  def tell_signal(self, number: int) -> None:
    """Tells the others that a signal ends this host now."""
    self._send(end_by(number))

  def _send(self, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the listening thread says so
      self._lines.send(message)

  def _listen(self) -> None:
    heard = looked = time.monotonic()
    while True:
      try:
        if select.select([self._lines], [], [], BEAT)[0]:
          for message in self._lines.receive():
            self._hear(message)
          heard = time.monotonic()
        self._lines.send({'beat': 1})
      except (OSError, ValueError):
        return self._lost_board('has broken off')
      now = time.monotonic()
      if now - looked > BEAT + self._timeout / 2:
        heard = now  # this process itself was stopped
      looked = now
      if now - heard > self._timeout:
        return self._lost_board(
          f'gives no answer for {self._timeout:g} seconds'
        )

  def _hear(self, message: dict[str, Any]) -> None:
    if 'gone' in message:
      host = message['gone']
      self._end_with(
        f'{self.name(host)} has gone {message["how"]}. {_AGAIN}',
        ExitCode.LOST_HOST,
      )
    elif 'stop' in message:
      with self._all_bound:
        if not self._stop:
          self._note_stop(message['stop'])
    elif 'bound' in message:
      with self._all_bound:
        self._bounds[message['from']] = message['bound']
        self._all_bound.notify_all()
    elif message.get('signal'):
      self._end_with(interruption(message, len(self.names)), message['end'])
    elif message.get('text'):
      self._hear_failure(message['from'], message['end'], message['text'])

  def _hear_failure(self, host: int, code: int, text: str) -> None:
    if code != ExitCode.USER:
      text = f'{self.name(host)} crashed: {text}. {_AGAIN}'
      code = ExitCode.LOST_HOST
    elif not text.startswith('host '):  # as of hosts that do not agree
      text = f'{self.name(host)}: {text}'
    self._end_with(text, code)

  def _note_stop(self, number: int) -> None:
    """Holds this host to the step that it is bound to; the lock is held."""
    self._stop = number
    self._bounds[self.index] = self._bound
    self._send({'bound': self._bound})
    self._all_bound.notify_all()

  def _lost_board(self, how: str) -> None:
    self._lines.close()
    if self._told:  # the end of the job
      return
    self._end_with(
      f'the connection with host 0 ({self.names[0]}) {how}, so this host '
      f'cannot go on. {_AGAIN}',
      ExitCode.LOST_HOST,
    )

  def _end_with(self, text: str, code: int) -> None:
    with self._lock:
      if self._ending:
        return
      self._ending = True
    self._end(text, code)


# The hosts of this process' job, if there is more than one.
current: Peers | None = None

_AGAIN = (
  'Start all hosts again with the same command: the run goes on from its last '
  'checkpoint'
)


def end_by(number: int) -> dict[str, Any]:
  """The message of a host that a signal ends."""
  return {'end': 128 + number, 'signal': number}


def interruption(message: dict[str, Any], count: int) -> str:
  """The line on such a message, of one of `count` hosts."""
  name = signal.Signals(message['signal']).name
  return f'interrupted by {name} on host {message["from"]} of {count}'


def end_process(text: str, code: int) -> None:
  """Prints the last words, and ends this process at once."""
  with contextlib.suppress(Exception):  # nobody may read on
    signals.tidy()
    sys.stdout.flush()
  word = '' if code > 128 else 'error: '
  with contextlib.suppress(OSError):
    os.write(2, f'{word}{paragraph(text)}\n'.encode(errors='backslashreplace'))
  os._exit(code)
