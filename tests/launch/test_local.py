"""launch/local.sh with real training."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests import command
from tests.launch import training

pytestmark = pytest.mark.slow


def start(flags, log):
  with log.open('ab') as out:
    return subprocess.Popen(
      [command.ROOT / 'launch' / 'local.sh', *flags],
      env=os.environ | {'PYTHON': sys.executable, 'PAUSE': '0.1'},
      cwd=log.parent,  # the script finds the package from anywhere
      stdout=out,
      stderr=out,
    )


def test_killed_it_goes_on_and_told_to_stop_it_saves(digits_npz, tmp_path):
  workdir, log = tmp_path / 'run', tmp_path / 'log'
  script = start(training.flags(digits_npz, workdir), log)
  try:
    training.wait_until(lambda: training.has_saved(workdir))
    (first,) = training.children(script.pid)
    os.kill(first, signal.SIGKILL)
    training.wait_until(lambda: 'resumed at step' in log.read_text())
    assert 'exit code 137; starting again' in log.read_text()
    (second,) = training.children(script.pid)
    training.wait_until(lambda: training.has_saved(workdir, 40))
    script.terminate()
    assert script.wait(120) == 143
  finally:
    script.kill()
    script.wait()
  assert not pathlib.Path(f'/proc/{second}').exists()
  text = log.read_text()
  assert text.count('starting again') == 1
  assert 'stopped by SIGTERM at step' in text and 'saved in' in text


def test_an_error_of_the_user_is_not_started_again(digits_npz, tmp_path):
  flags = training.flags(digits_npz, tmp_path / 'run')
  script = start([*flags, '--config.batch_size=0'], tmp_path / 'log')
  assert script.wait(120) == 2
  text = (tmp_path / 'log').read_text()
  assert text.count('error: ') == 1 and 'again.sh' not in text
