"""Saving goes by steps, by minutes since the last save, or by a signal."""

import os
import signal
import time

import ml_collections
import pytest

from resnet_jax.config.file import load_config
from resnet_jax.config.plan import make_plan
from resnet_jax.runs.interruption import Cadence, StopSignals


def cadence(every) -> Cadence:
  config: ml_collections.ConfigDict = load_config('digits_resnet20')
  config.run.checkpoint_every = every
  return Cadence(make_plan(config, 1500), agree_every=10)


@pytest.mark.parametrize(
  ('every', 'seconds'), [('10 minutes', 600), ('1 minute', 60), ('0.5 min', 0)]
)
def test_minutes_count_from_the_last_save(every, seconds, monkeypatch):
  now = [500.0]
  monkeypatch.setattr(time, 'monotonic', lambda: now[0])
  if not seconds:  # 'min' is no unit
    with pytest.raises(Exception, match=r'0\.5 min'):
      cadence(every)
    return
  one = cadence(every)
  for start in (500, 500 + seconds + 7):
    now[0] = start + seconds - 1
    assert one.decide(3, 0) == (False, 0)
    assert one.decide(4, 15) == (False, 15)
    now[0] = start + seconds
    assert one.decide(5, 0) == (True, 0)
    now[0] = start + seconds + 7
    assert one.decide(6, 0) == (True, 0)  # as long as nothing is saved
    one.saved()
    assert one.decide(7, 0) == (False, 0)


def test_steps_do_not_go_by_time(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(time, 'monotonic', lambda: now[0])
  one = cadence('5 steps')
  now[0] = 1e6
  saves = [done for done in range(1, 16) if one.decide(done, 0)[0]]
  assert saves == [5, 10, 15]


def test_the_first_signal_is_the_loops_alone():
  # A thread of signals.py ends the command where it finds the old handler.
  old = signal.getsignal(signal.SIGTERM)
  with StopSignals() as signals:
    os.kill(os.getpid(), signal.SIGTERM)
    while not signals.number:
      time.sleep(0.001)
    assert signals.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) not in (old, signal.SIG_DFL)
  assert signal.getsignal(signal.SIGTERM) == old


def test_of_two_signals_only_a_second_ctrl_c_ends_at_once():
  heard = []
  numbers = (signal.SIGTERM, signal.SIGINT)
  before = {n: signal.signal(n, lambda n, _: heard.append(n)) for n in numbers}
  try:
    with StopSignals() as signals:
      for _ in range(2):  # as SLURM sends it where it preempts and cancels
        signal.raise_signal(signal.SIGTERM)
      assert (signals.number, heard) == (signal.SIGTERM, [])
      signal.raise_signal(signal.SIGINT)
      assert heard == [signal.SIGINT]
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
