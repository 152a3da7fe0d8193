"""What a host says while it waits for the others at the start."""

import logging
import time

from resnet_jax.errors import LostHost
from resnet_jax.hosts.cluster import Place

_log = logging.getLogger('resnet_jax')

# Seconds between two lines that say for whom this host waits, and attempts.
_SAY_EVERY, RETRY = 10.0, 0.5


class Waiting:
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
