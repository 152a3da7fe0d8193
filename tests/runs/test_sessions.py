"""Goodput is exact, and its file never stops a run."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from resnet_jax.config.file import load_config, to_json
from resnet_jax.errors import Interrupted
from resnet_jax.runs import history, sessions, workdir
from resnet_jax.runs.sessions import FILE, Session, goodput
from tests import command

META = {'config': to_json(load_config('digits_resnet20')), 'data': 'abc'}
STEPS = 100


@pytest.fixture
def now(monkeypatch):
  """A clock that is set by hand, in place of `time.monotonic`."""

  class Now:
    seconds = 1000.0

  monkeypatch.setattr(time, 'monotonic', lambda: Now.seconds)
  return Now


def begin(folder, now, *, first, trained, age=0.0, meta=META):
  return sessions.Log(
    folder,
    meta,
    began=now.seconds - age,
    first_step=first,
    steps=STEPS,
    trained=trained,
  )


def read(folder):
  return json.loads((folder / FILE).read_text())['sessions']


def test_every_second_and_step_is_counted_once(tmp_path, now):
  # Killed at step 50, saved at step 40 with 20 s of training in it.
  one = begin(tmp_path, now, first=0, trained=0, age=8)
  now.seconds += 22
  one.alive(40)
  now.seconds += 5
  one.alive(50)
  now.seconds += 1000  # between two processes
  # Told to stop at step 70, where it saved.
  two = begin(tmp_path, now, first=40, trained=20, age=10)
  with pytest.raises(Interrupted), two:
    now.seconds += 15
    two.alive(70)
    raise Interrupted('', signal.SIGTERM)
  now.seconds += 7
  three = begin(tmp_path, now, first=70, trained=35, age=9)
  with three:
    now.seconds += 16
    three.alive(STEPS)
    now.seconds += 4  # the last evaluation
    found = three.goodput(50.0)
  assert found.job_seconds == (8 + 22 + 5) + (10 + 15) + (9 + 16 + 4)
  assert found.training_seconds == 50
  assert found.share == 50 / 89
  assert (found.sessions, found.steps_lost, found.since_step) == (3, 10, 0)
  assert str(found) == (
    'goodput 56.2 % (50 of 89 s; 3 sessions, 10 steps done twice)'
  )
  assert found.to_json() == {
    'goodput': 50 / 89,
    'training_seconds': 50,
    'job_seconds': 89,
    'sessions': 3,
    'steps_lost': 10,
    'since_step': 0,
  }
  listed = read(tmp_path)
  assert [s['end'] for s in listed] == [None, 'SIGTERM', 'done']
  assert [s['seconds'] for s in listed] == [35, 25, 29]
  assert not list(tmp_path.glob('*.draft'))


def test_a_checkpoint_that_is_damaged_loses_the_steps_of_two_sessions():
  found = goodput(
    [
      Session(0, 10, 0, 100, 0),
      Session(0, 10, 80, 120, 8),
      Session(0, 10, 60, 200, 6),
    ],
    20,
  )
  # 100 + 40 + 140 steps were done for 200.
  assert found.steps_lost == 80


def test_the_same_command_after_the_end_counts_no_more(tmp_path, now):
  with begin(tmp_path, now, first=0, trained=0) as one:
    now.seconds += 20
    one.alive(STEPS)
    before = one.goodput(15.0)
  now.seconds += 100
  with begin(tmp_path, now, first=STEPS, trained=15, age=5) as again:
    now.seconds += 6
    assert again.goodput(15.0) == before
  assert len(read(tmp_path)) == 1


def test_a_run_from_before_is_counted_from_where_it_goes_on(tmp_path, now):
  log = begin(tmp_path, now, first=60, trained=300)
  now.seconds += 50
  found = log.goodput(340.0)
  assert (found.training_seconds, found.job_seconds) == (40, 50)
  assert str(found) == (
    'goodput 80.0 % (40 of 50 s; 1 session, counted from step 60 on)'
  )


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'\xff\xfe',
    b'[]',
    b'{"run": "x"}',
    b'{"run": "x", "sessions": 3}',
    b'{"run": "x", "sessions": [{"started": 1}]}',
    b'{"run": "x", "sessions": [{"started": 1, "seconds": NaN, '
    b'"first_step": 0, "last_step": 1, "trained": 0, "end": null}]}',
    b'{"run": "x", "sessions": [{"started": 1, "seconds": 1, '
    b'"first_step": 0.5, "last_step": 1, "trained": 0, "end": null}]}',
    b'[' * 100_000,
  ],
)
def test_damage_is_set_aside_in_one_line(tmp_path, now, caplog, content):
  (tmp_path / FILE).write_bytes(content)
  log = begin(tmp_path, now, first=60, trained=30)
  assert len(log.sessions) == len(read(tmp_path)) == 1
  assert (tmp_path / f'{FILE}.damaged').read_bytes() == content
  (record,) = caplog.records
  assert 'is damaged, it is now sessions.json.damaged' in record.getMessage()


def test_what_cannot_be_written_is_said_once(
  tmp_path, now, caplog, monkeypatch
):
  log = begin(tmp_path, now, first=0, trained=0)

  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(sessions, 'write_json', full)
  with log:
    now.seconds += 10
    log.alive(5)
    assert log.goodput(4.0).job_seconds == 10
  (record,) = caplog.records
  assert 'No space left on device; the run goes on' in record.getMessage()


def test_another_run_without_checkpoints_is_not_counted(tmp_path, now):
  begin(tmp_path, now, first=0, trained=0)
  # Killed before its first checkpoint, and begun again: its time is lost.
  assert len(begin(tmp_path, now, first=0, trained=0).sessions) == 2
  # How it is run makes it no other run.
  other = to_json(load_config('digits_resnet20'))
  other['run']['log_every'] = 7
  same = META | {'config': other}
  assert len(begin(tmp_path, now, first=0, trained=0, meta=same).sessions) == 3
  meta = META | {'data': 'def'}
  # One that goes on was accepted with what has changed.
  log = begin(tmp_path, now, first=50, trained=9, meta=meta)
  assert len(log.sessions) == 4
  log = begin(tmp_path, now, first=0, trained=0)
  assert len(log.sessions) == 1
  assert (tmp_path / f'{FILE}.old').exists()


def test_the_other_hosts_write_nothing(tmp_path, now, monkeypatch):
  for module in (sessions, workdir):
    monkeypatch.setattr(module.jax, 'process_index', lambda: 1)
  with begin(tmp_path, now, first=0, trained=0) as log:
    log.alive(5)
  assert not list(tmp_path.iterdir())


def test_a_process_begins_when_it_is_created():
  before = time.monotonic()
  code = (
    'import time; time.sleep(0.3); '
    'from resnet_jax.process import process_began; print(process_began())'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  tick = 1 / os.sysconf('SC_CLK_TCK')
  assert before - tick <= float(done.stdout) < before + 0.3


@pytest.mark.slow
def test_a_run_that_was_killed_tells_what_that_cost(tmp_path, digits_npz):
  words = command.arguments(
    digits_npz,
    tmp_path,
    '--config.duration=400',
    '--config.run.log_every=1',
    '--config.run.checkpoint_every=40',
    '--config.run.eval_every=400',
  )
  process = command.start(*words)
  # In the sixth of 38 epochs, between two saves.
  while not (steps := steps_of(tmp_path)) or steps[-1] < 55:
    assert process.poll() is None, process.communicate()
    time.sleep(0.002)
  process.kill()
  process.communicate()
  assert process.returncode == -signal.SIGKILL
  last = steps_of(tmp_path)[-1]
  (killed,) = read(tmp_path)
  # A sign of life follows each record.
  assert killed['last_step'] in (last - 1, last)
  assert killed['end'] is None
  out = command.run_well(*words).splitlines()
  results = json.loads((tmp_path / 'results.json').read_text())
  listed = read(tmp_path)
  saved = listed[1]['first_step']
  assert saved % 40 == 0 and 40 <= saved <= last
  assert [s['end'] for s in listed] == [None, 'done']
  assert results['sessions'] == 2 and results['since_step'] == 0
  assert results['steps_lost'] == killed['last_step'] - saved > 0
  assert results['training_seconds'] == results['seconds']['train']
  assert killed['seconds'] < results['job_seconds']
  assert results['job_seconds'] <= sum(s['seconds'] for s in listed)
  share = results['training_seconds'] / results['job_seconds']
  assert 0 < results['goodput'] == share < 1
  assert out[-1].startswith(f'goodput {100 * share:.1f} % (')
  assert f'2 sessions, {results["steps_lost"]} step' in out[-1]


def steps_of(folder):
  records = history.read_metrics(folder, warn=False)
  return [r['step'] for r in records if r['split'] == 'train']
