"""Processes: side by side, apart in failure, and together when they stop."""

import errno
import fcntl
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from resnet_jax.console import console
from resnet_jax.errors import Interrupted, UserError
from resnet_jax.paper.processes import Processes, available_cores, locked
from tests import command

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def work(tmp_path, monkeypatch):
  """Makes a task of a command of `tests.paper.worker`."""
  monkeypatch.chdir(command.ROOT)

  def make(processes, *words, **options):
    words = ['tests.paper.worker', str(tmp_path), *words]
    log = tmp_path / 'log.txt'
    return functools.partial(processes.run, words, log, **options)

  return make


def signal_when(*files, numbers):
  """Sends signals to this process, once all files are there."""

  def send():
    while not all(file.exists() for file in files):
      time.sleep(0.01)
    for number in numbers:
      os.kill(os.getpid(), number)
      time.sleep(0.1)

  thread = threading.Thread(target=send, daemon=True)
  thread.start()
  return thread


def test_tasks_run_side_by_side(tmp_path, work):
  with Processes(2, tmp_path) as processes:
    tasks = {
      'one': work(processes, 'meet', 'a', 'b'),
      'two': work(processes, 'meet', 'b', 'a'),
    }
    assert processes.do(tasks) == {}


def test_each_has_a_core_of_its_own_where_there_are_as_many(tmp_path, work):
  cores = available_cores()
  if len(cores) < 2 or not hasattr(os, 'sched_getaffinity'):
    pytest.skip('one core, or a system that does not pin')
  names = [f'file{i}' for i in range(len(cores))]
  with Processes(len(cores), tmp_path) as processes:
    following = [*names[1:], names[0]]
    tasks = {
      name: work(processes, 'meet', name, other)
      for name, other in zip(names, following, strict=True)
    }
    assert processes.do(tasks) == {}
  used = [(tmp_path / name).read_text() for name in names]
  assert sorted(map(int, used)) == sorted(cores)
  with Processes(1, tmp_path) as processes:
    assert processes.do({'one': work(processes, 'write', 'alone')}) == {}
  assert (tmp_path / 'alone').read_text() == ' '.join(map(str, sorted(cores)))
  assert sorted(available_cores()) == sorted(cores), 'we are not pinned'


def test_what_fails_leaves_the_others_unharmed(tmp_path, work):
  (tmp_path / 'log.txt').write_text('error: of an earlier run\n')
  with Processes(1, tmp_path) as processes:
    failures = processes.do(
      {
        'user': work(processes, 'fail', 'error: mend this', '1'),
        'bug': work(processes, 'fail', 'Traceback', '3'),
        'empty': work(processes, 'write', 'a', output=tmp_path / 'none'),
        'good': work(processes, 'write', 'b', output=tmp_path / 'b'),
      }
    )
  assert failures.keys() == {'user', 'bug', 'empty'}
  assert failures['user'] == 'mend this'
  assert failures['bug'] == f'exit code 3: Traceback; see {tmp_path}/log.txt'
  assert failures['empty'].startswith('exit code 0: no output')


def test_a_bug_of_ours_is_raised_when_all_have_stopped(tmp_path, work):
  def bug():
    while not (tmp_path / 'a').exists():
      time.sleep(0.01)
    raise ZeroDivisionError

  with Processes(2, tmp_path) as processes:
    tasks = {
      'one': work(processes, 'save', 'a'),
      'two': bug,
      'three': work(processes, 'write', 'b'),
    }
    with pytest.raises(ZeroDivisionError):
      processes.do(tasks)
  assert (tmp_path / 'a').read_text() == 'saved after 1'
  assert not (tmp_path / 'b').exists()


@pytest.mark.parametrize('number', SIGNALS)
def test_a_signal_is_passed_on_once_and_nothing_starts_any_more(
  tmp_path, work, number
):
  before = [signal.getsignal(n) for n in SIGNALS]
  # A terminal that is closed hangs up twice.
  numbers = [number] + [number] * (number == signal.SIGHUP)
  with Processes(2, tmp_path) as processes:
    tasks = {
      'one': work(processes, 'save', 'a'),
      'two': work(processes, 'save', 'b'),
      'three': work(processes, 'write', 'c'),
      'four': (tmp_path / 'e').touch,
    }
    thread = signal_when(tmp_path / 'a', tmp_path / 'b', numbers=numbers)
    with pytest.raises(Interrupted, match=number.name) as caught:
      processes.do(tasks)
    thread.join()
    assert caught.value.number == number
    with pytest.raises(Interrupted):
      processes.do({'later': work(processes, 'write', 'd')})
  for name in 'ab':
    assert (tmp_path / name).read_text() == 'saved after 1'
  assert not any((tmp_path / name).exists() for name in 'cde')
  assert [signal.getsignal(n) for n in SIGNALS] == before


def test_a_terminal_that_is_gone_does_not_stop_the_saving(
  tmp_path, work, monkeypatch
):
  def gone(*_):
    time.sleep(0.1)
    raise OSError('the terminal is gone')

  monkeypatch.setattr(logging.getLogger('resnet_jax'), 'warning', gone)
  with Processes(1, tmp_path) as processes:
    thread = signal_when(tmp_path / 'a', numbers=[signal.SIGHUP])
    with pytest.raises(OSError, match='the terminal is gone'):
      processes.do({'one': work(processes, 'save', 'a')})
    thread.join()
  assert (tmp_path / 'a').read_text() == 'saved after 1'


def test_a_second_signal_kills(tmp_path, work):
  with Processes(1, tmp_path) as processes:
    numbers = [signal.SIGTERM, signal.SIGINT]
    thread = signal_when(tmp_path / 'a', numbers=numbers)
    with pytest.raises(Interrupted, match='SIGTERM'):
      processes.do({'one': work(processes, 'hang', 'a')})
    thread.join()


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path):
  old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with Processes(1, tmp_path):
      assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
  finally:
    signal.signal(signal.SIGHUP, old)


def test_progress_is_shown_and_its_failure_stops_all(
  tmp_path, work, monkeypatch
):
  monkeypatch.setattr(console, 'interval', 0.05)
  shown = []

  def progress():
    shown.append(None)
    if len(shown) > 2 and (tmp_path / 'a').exists():
      raise OSError('the terminal is gone')
    return 'words'

  with Processes(1, tmp_path) as processes:
    tasks = {'one': work(processes, 'save', 'a')}
    with pytest.raises(OSError, match='the terminal is gone'):
      processes.do(tasks, progress)
  assert (tmp_path / 'a').read_text() == 'saved after 1'


def test_a_process_inherits_the_lock_of_its_folder(tmp_path, work):
  with Processes(1, tmp_path) as processes, locked(tmp_path) as lock:
    tasks = {
      'heir': work(processes, 'write', 'a', str(lock), inherited=[lock]),
      'other': work(processes, 'write', 'b', str(lock)),
    }
    assert processes.do(tasks).keys() == {'other'}


def test_a_lock_is_kept_by_who_inherits_it(tmp_path):
  with locked(tmp_path) as lock:
    with pytest.raises(UserError, match='another process'), locked(tmp_path):
      pass
    process = subprocess.Popen(
      [sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, pass_fds=[lock]
    )
  with pytest.raises(UserError, match='another process'), locked(tmp_path):
    pass
  process.communicate(b'\n')
  with locked(tmp_path):
    pass


def test_a_file_system_without_locks_is_not_another_process(
  tmp_path, monkeypatch
):
  def refuse(*_):
    raise OSError(errno.ENOLCK, 'no locks available')

  monkeypatch.setattr(fcntl, 'flock', refuse)
  with pytest.raises(OSError, match='no locks'), locked(tmp_path):
    pass
