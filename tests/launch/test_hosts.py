"""launch/hosts.sh with real training, and an ssh server of this machine."""

import contextlib
import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from tests import command
from tests.launch import training

SSHD = shutil.which('sshd', path=f'{os.environ["PATH"]}:/usr/sbin')
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(not (SSHD and shutil.which('ssh')), reason='no sshd'),
]
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
"""
CLIENT = (
  '-p {port} -i {folder}/key -o IdentitiesOnly=yes -o LogLevel=ERROR '
  '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null'
)


@pytest.fixture
def environment(tmp_path):
  """The environment of hosts.sh for two hosts that are this machine."""
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    port = s.getsockname()[1]
  for name in ('host_key', 'key'):
    subprocess.run(
      ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', tmp_path / name],
      check=True,
    )
  config = tmp_path / 'sshd_config'
  config.write_text(CONFIG.format(port=port, folder=tmp_path))
  if os.geteuid() == 0:  # which Debian's init script makes
    pathlib.Path('/run/sshd').mkdir(exist_ok=True)
  server = subprocess.Popen([SSHD, '-D', '-e', '-f', config])
  try:
    training.wait_until(lambda: answers(port), 20)
    yield os.environ | {
      'HOSTS': f'127.0.0.1 {getpass.getuser()}@localhost',
      'SSH_OPTIONS': CLIENT.format(port=port, folder=tmp_path),
      'PYTHON': sys.executable,
      'PAUSE': '0.1',
    }
  finally:
    server.terminate()
    server.wait(20)


def answers(port):
  with (
    contextlib.suppress(OSError),
    socket.create_connection(('127.0.0.1', port), 1),
  ):
    return True
  return False


def start(flags, environment, log):
  with log.open('ab') as out:
    return subprocess.Popen(
      [command.ROOT / 'launch' / 'hosts.sh', *flags],
      env=environment,
      stdout=out,
      stderr=out,
    )


def trainings(workdir):
  """The processes that train in `workdir`, by the number of the host."""
  found = {}
  for folder in pathlib.Path('/proc').glob('[0-9]*'):
    with contextlib.suppress(OSError):
      words = (folder / 'cmdline').read_text().split('\0')
      flag = f'--workdir={workdir}'
      if flag in words and words[1:3] == ['-m', 'resnet_jax.main']:
        (host,) = [w for w in words if w.startswith('--host=')]
        found[int(host.partition('=')[2])] = int(folder.name)
  return found


def test_one_script_starts_stops_and_restarts_all(
  environment, digits_npz, tmp_path
):
  workdir, log = tmp_path / "it's a run", tmp_path / 'log'
  flags = training.flags(digits_npz, workdir)
  script = start(flags, environment, log)
  try:
    training.wait_until(lambda: training.has_saved(workdir))
    os.kill(trainings(workdir)[1], signal.SIGKILL)
    training.wait_until(lambda: 'resumed at step' in log.read_text())
    training.wait_until(lambda: training.has_saved(workdir, 60))
    script.terminate()
    assert script.wait(120) == 143
  finally:
    script.kill()
    script.wait()
  assert not trainings(workdir)
  text = log.read_text()
  host = environment['HOSTS'].split()[1]
  assert f'hosts.sh: {host} ended with exit code 137' in text
  assert 'hosts.sh: 127.0.0.1 ended with exit code 75' in text
  assert text.count('starting again') == 1
  lines = text.splitlines()
  assert any(x.startswith('127.0.0.1: stopped by SIGTERM') for x in lines)
  ours = ('127.0.0.1: ', f'{host}: ', 'hosts.sh: ', 'again.sh: ')
  assert all(line.startswith(ours) for line in lines if line), text


def test_a_host_that_is_none_and_an_error_of_the_user(
  environment, digits_npz, tmp_path
):
  flags = training.flags(digits_npz, tmp_path / 'run')
  log = tmp_path / 'log'
  environment['HOSTS'] = '127.0.0.1 nowhere.invalid'
  assert start(flags, environment, log).wait(120) == 2
  assert 'error: nowhere.invalid cannot be reached' in log.read_text()
  environment['HOSTS'] = '127.0.0.1 localhost'
  flags.append('--config.batch_size=0')
  assert start(flags, environment, log).wait(120) == 2
  assert 'again.sh' not in log.read_text()
