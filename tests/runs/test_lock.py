"""One run at a time in a folder, and only as long as the folder is there."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import pytest

from resnet_jax.errors import UserError
from resnet_jax.runs import history, lock
from tests import command


def refused(folder, words):
  with pytest.raises(UserError, match=words), lock.hold(folder):
    pass


def test_the_second_is_refused_and_the_holder_named(tmp_path):
  with lock.hold(tmp_path):
    holder = f'process {os.getpid()} on {socket.gethostname()}, since 2'
    refused(tmp_path, f'--workdir {tmp_path} is in use by {holder}')
  with lock.hold(tmp_path):
    pass


@pytest.mark.parametrize('note', [b'', b'{"pid": 1}', b'[]', b'\xff\xfe'])
def test_a_holder_that_cannot_be_named(tmp_path, note):
  with lock.hold(tmp_path):
    (tmp_path / lock.FILE).write_bytes(note)
    refused(tmp_path, 'in use by another process')


def test_what_a_dead_process_left_locks_nobody_out(tmp_path):
  script = (
    'import pathlib, sys, time\n'
    'from resnet_jax.runs import lock\n'
    'with lock.hold(pathlib.Path(sys.argv[1])):\n'
    '  print("held", flush=True)\n'
    '  time.sleep(100)\n'
  )
  process = subprocess.Popen(
    [sys.executable, '-c', script, str(tmp_path)],
    cwd=command.ROOT,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == 'held\n'
  refused(tmp_path, f'process {process.pid} on')
  process.kill()
  process.communicate()
  assert json.loads((tmp_path / lock.FILE).read_text())['pid'] == process.pid
  with lock.hold(tmp_path):
    pass


def test_without_locks_a_run_goes_on_with_a_warning(tmp_path, monkeypatch):
  def refuse(*_):
    raise OSError(37, 'No locks available')

  monkeypatch.setattr(lock.fcntl, 'flock', refuse)
  with lock.hold(tmp_path), lock.hold(tmp_path):
    pass


def test_the_folder_of_another_host(tmp_path, monkeypatch):
  """The first host's lock is not in it, as on a disk of this host's own."""
  monkeypatch.setattr(lock, '_SEEN_AFTER', 0.1)
  for name in ('shared', 'own'):
    (tmp_path / name).mkdir()
  with lock.hold(tmp_path / 'shared') as first:
    assert first.note()
    first.check_shared(first.note())
    with (
      lock.hold(tmp_path / 'own') as other,
      pytest.raises(UserError, match=r'own is not the folder that host 0 has'),
    ):
      other.check_shared(first.note())
    other.check_shared('')  # there was no room for a note


def test_two_runs_in_one_folder(tmp_path, digits_npz):
  with lock.hold(tmp_path):
    history.open_metrics(tmp_path, 0).close()
    command.refused(
      *command.arguments(digits_npz, tmp_path),
      telling=[f'in use by process {os.getpid()}', 'two runs', '--workdir'],
    )
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {lock.FILE, history.FILE}


def move(folder: pathlib.Path) -> None:
  folder.rename(folder.with_name('moved'))


def replace(folder: pathlib.Path) -> None:
  move(folder)
  folder.mkdir()


@pytest.mark.parametrize('change', [move, replace])
def test_a_folder_that_is_gone_is_not_written_to(tmp_path, change):
  workdir = tmp_path / 'run'
  workdir.mkdir()
  with lock.hold(workdir) as held:
    held.check()
    change(workdir)
    with pytest.raises(UserError, match=r'moved or deleted.*put it back'):
      held.check()


@pytest.mark.slow
def test_a_run_whose_folder_is_moved_ends_with_an_error(tmp_path, digits_npz):
  workdir = tmp_path / 'run'
  words = command.arguments(digits_npz, workdir, '--config.duration=20000')
  process = command.start(*words)
  deadline = time.monotonic() + 200
  while not history.read_metrics(workdir, warn=False):
    assert process.poll() is None and time.monotonic() < deadline
    time.sleep(0.01)
  move(workdir)
  _, error = process.communicate(timeout=200)
  assert process.returncode == 2, error
  assert re.search(r'error: --workdir \S+ was moved or deleted', error), error
  assert not (workdir / 'metrics.jsonl').exists()
  assert (tmp_path / 'moved' / 'metrics.jsonl').exists()
