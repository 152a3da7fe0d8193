"""Long waits are told, by whoever waits."""

import os
import threading
import time

import pytest

from resnet_jax import waits
from resnet_jax.waits import each, waiting_for


@pytest.fixture(scope='module')
def lines():
  """What is told, by a watch that looks ten times a second."""
  told = []
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(waits, '_FIRST', 0.2)
    patch.setattr(waits, '_AGAIN', 0.4)
    patch.setattr(waits, '_LOOK_EVERY', 0.1)
    patch.setattr(waits._log, 'warning', lambda line, *a: told.append(line % a))
    waits._start_watching()
    time.sleep(1.1)  # one that watches already has slept its last second
    yield told


@pytest.fixture
def told(lines, monkeypatch):
  monkeypatch.setattr(waits, '_longest', {})
  lines.clear()
  return lines


def test_a_file_that_does_not_answer(told, tmp_path):
  file = tmp_path / 'pipe'
  os.mkfifo(file)
  threading.Timer(0.9, lambda: file.write_text('here')).start()
  with waiting_for('the pipe to be read'):
    assert file.read_text() == 'here'
  assert told == [
    'waiting for the pipe to be read (0 s so far)',
    'waiting for the pipe to be read (1 s so far)',
    'waited 1 s for the pipe to be read',
  ]


def test_short_waits_are_not_told(told):
  for _ in range(5):
    with waiting_for('nothing'):
      time.sleep(0.1)
  assert told == []


def test_what_is_always_slow_is_told_once(told):
  for seconds in (0.4, 0.4, 0.4, 1.2):
    with waiting_for('a step'):
      time.sleep(seconds)
  assert [line.split(' ')[0] for line in told] == ['waiting', 'waited'] * 2


def test_each_item_is_waited_for(told):
  def slow():
    yield 1
    time.sleep(0.4)
    yield 2

  assert list(each(slow(), 'pictures')) == [1, 2]
  assert told == [
    'waiting for pictures (0 s so far)',
    'waited 0 s for pictures',
  ]


def test_an_error_comes_through(told):
  with pytest.raises(OSError, match='broken'), waiting_for('a disk'):
    time.sleep(0.4)
    raise OSError('broken')
  assert told[-1] == 'waited 0 s for a disk'


def test_one_of_several_hosts_names_itself(told, monkeypatch):
  monkeypatch.setattr(waits, '_speaker', '')
  waits.speak_as('host 1 of 2 (b)')
  with waiting_for('pictures'):
    time.sleep(0.4)
  assert told[0] == 'host 1 of 2 (b): waiting for pictures (0 s so far)'
