"""Stopping a run so that it can go on: signals, and when to save."""

import logging
import os
import signal
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

from resnet_jax.config.plan import Plan
from resnet_jax.hosts import peers

_log = logging.getLogger('resnet_jax')


class StopSignals:
  """Notes SIGTERM or SIGINT inside a `with` block, so that the loop can save.

  A second SIGINT ends the command at once, as one outside of the loop does. A
  second SIGTERM does not: clusters send it to a job and again to its steps, and
  what is being saved would be lost.

  Attributes:
    number: The signal that came, or 0.
  """

  def __init__(self) -> None:
    self.number = 0

  def __enter__(self) -> 'StopSignals':
    numbers = (signal.SIGTERM, signal.SIGINT)
    self._old = {n: signal.signal(n, self._note) for n in numbers}
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def _note(self, number: int, _: object) -> None:
    self.number = number
    # Not the old handlers yet: a thread that ends the command by them (see
    # signals.py) may still be on its way to this first signal.
    for n in self._old:
      signal.signal(n, self._note_again)
    _log.warning('%s: saving, then stopping', signal.Signals(number).name)

  def _note_again(self, number: int, _: object) -> None:
    if number == signal.SIGINT:
      signal.signal(number, self._old[signal.Signals(number)])
      os.kill(os.getpid(), number)


class Cadence:
  """Decides when to save: every so many steps, or so many seconds.

  Args:
    plan: The plan of the run, which says how often.
    agree_every: Steps after which several hosts compare notes.
  """

  def __init__(self, plan: Plan, *, agree_every: int) -> None:
    self._plan = plan
    self._agree_every = agree_every
    self._last = time.monotonic()

  def decide(self, done: int, stop: int) -> tuple[bool, int]:
    """Whether to save after `done` steps, and the signal to stop by, or 0.

    Saving is a joint act, so all hosts decide alike: seconds are those of the
    first host, and a signal to any host stops them all.
    """
    every, seconds = self._plan.checkpoint_steps, self._plan.checkpoint_seconds
    by_step = every is not None and done % every == 0
    by_time = seconds is not None and time.monotonic() - self._last >= seconds
    if jax.process_count() == 1:
      return by_step or by_time, stop
    if seconds is not None:
      by_time = done % self._agree_every == 0 and bool(
        multihost_utils.broadcast_one_to_all(np.array(by_time))
      )
    return by_step or by_time, self._agreed(done, stop)

  def _agreed(self, done: int, stop: int) -> int:
    """The signal to stop by now, at the same step on all hosts, or 0."""
    if not peers.current:  # a program of its own has connected the hosts
      if done % self._agree_every:
        return 0
      return int(multihost_utils.process_allgather(np.array(stop)).max())
    bound = min(done + 1, self._plan.steps)
    number, last = peers.current.last_step(done, stop, bound=bound)
    return number if number and done >= last else 0

  def saved(self) -> None:
    """Starts to count seconds anew."""
    self._last = time.monotonic()
