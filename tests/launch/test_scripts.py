"""The scripts of launch/, without training."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from tests import command

LAUNCH = command.ROOT / 'launch'
SCRIPTS = sorted(LAUNCH.glob('*.sh'))
AGAIN = LAUNCH / 'again.sh'
# A command that takes its time to end when it is told to, as one that saves.
SAVES = """
trap 'sleep 0.2; echo saved by TERM; exit 143' TERM
trap 'sleep 0.2; echo saved by INT; exit 130' INT
echo ready
for _ in $(seq 100); do sleep 0.1; done
"""


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_bash_reads_it(script):
  subprocess.run(['bash', '-n', script], check=True)
  assert os.access(script, os.X_OK)
  assert script.read_text().startswith('#!/usr/bin/env bash\n# ')


def test_shellcheck():
  if not shutil.which('shellcheck'):
    pytest.skip('there is no shellcheck')
  subprocess.run(['shellcheck', *SCRIPTS], check=True)


def again(*words, **environment):
  return subprocess.Popen(
    [AGAIN, *words],
    env=os.environ | {'PAUSE': '0.1'} | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@pytest.mark.parametrize('code', [0, 2, 130])
def test_what_another_start_would_not_mend_is_not_started_again(code):
  process = again('bash', '-c', f'echo start; exit {code}')
  out, err = process.communicate(timeout=20)
  assert (process.returncode, out, err) == (code, 'start\n', '')


@pytest.mark.parametrize(
  ('words', 'environment', 'code', 'told'),
  [
    (['true'], {'RESTARTS': 'x'}, 2, 'RESTARTS=x is no number'),
    (['true'], {'PAUSE': '-1'}, 2, 'PAUSE=-1 is no number of seconds'),
    ([], {}, 2, 'which command?'),
    (['no-such-command'], {}, 127, 'there is no command no-such-command'),
  ],
)
def test_what_means_nothing_is_refused_at_once(words, environment, code, told):
  process = again(*words, **environment)
  out, err = process.communicate(timeout=20)
  assert (process.returncode, out) == (code, '')
  assert err.startswith(f'error: {told}')


@pytest.mark.parametrize('end', ['exit 1', 'exit 75', 'exit 143', 'kill -9 $$'])
def test_what_crashed_is_started_again(end, tmp_path):
  script = f'echo $AGAIN_ATTEMPT; [ $AGAIN_ATTEMPT = 3 ] && exit 0; {end}'
  process = again('bash', '-c', script)
  out, err = process.communicate(timeout=20)
  assert (process.returncode, out) == (0, '1\n2\n3\n')
  assert err.count('starting again') == len(err.splitlines()) == 2


def test_there_is_an_end_to_starting_again():
  process = again('bash', '-c', 'echo start; exit 1', RESTARTS='2')
  out, err = process.communicate(timeout=20)
  assert (process.returncode, out) == (1, 'start\n' * 3)
  assert 'RESTARTS=2' in err


def test_a_command_that_does_not_exist():
  process = again('no-such-command')
  _, err = process.communicate(timeout=20)
  assert process.returncode == 127
  assert 'no-such-command' in err and 'again.sh' not in err


@pytest.mark.parametrize(
  ('sent', 'passed_on', 'code'),
  [('SIGTERM', 'TERM', 143), ('SIGINT', 'INT', 130), ('SIGHUP', 'TERM', 143)],
)
def test_signals_are_passed_on_and_waited_for(sent, passed_on, code):
  process = again('bash', '-c', SAVES)
  assert process.stdout.readline() == 'ready\n'
  process.send_signal(signal.Signals[sent])
  out, err = process.communicate(timeout=20)
  assert (process.returncode, out) == (code, f'saved by {passed_on}\n')
  assert 'again.sh' not in err


def test_a_crash_after_a_signal_is_an_end():
  process = again('bash', '-c', SAVES.replace('143', '1'))
  assert process.stdout.readline() == 'ready\n'
  process.terminate()
  _, err = process.communicate(timeout=20)
  assert (process.returncode, err) == (1, '')


def test_a_signal_in_the_pause_is_an_end():
  process = again('bash', '-c', 'exit 1', PAUSE='20')
  assert 'starting again' in process.stderr.readline()
  process.terminate()
  process.communicate(timeout=10)
  assert process.returncode == 143


@pytest.mark.skipif(
  not shutil.which('setpriv'), reason='setpriv is of Linux alone'
)
def test_the_command_does_not_outlive_the_script():
  process = again('bash', '-c', SAVES)
  assert process.stdout.readline() == 'ready\n'
  process.kill()
  # Its end of the pipe is open until it ends.
  assert process.communicate(timeout=20)[0] == 'saved by TERM\n'


def test_the_first_process_of_a_container_hears_signals():
  inside = ['unshare', '--user', '--map-root-user', '--pid', '--fork']
  if subprocess.run([*inside, 'true'], capture_output=True).returncode:
    pytest.skip('no namespaces')
  # Without its own handler, the first process of a namespace ignores SIGTERM;
  # only processes outside of it could kill it.
  script = 'echo $PPID; ' + SAVES
  process = subprocess.Popen(
    [*inside, '--kill-child', AGAIN, 'bash', '-c', script],
    stdout=subprocess.PIPE,
    text=True,
  )
  try:
    assert process.stdout.readline() == '1\n'
    assert process.stdout.readline() == 'ready\n'
    children = f'/proc/{process.pid}/task/{process.pid}/children'
    with open(children) as file:
      os.kill(int(file.read()), signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (143, 'saved by TERM\n')
  finally:
    process.kill()


@pytest.mark.parametrize(
  ('environment', 'told'),
  [
    ({}, 'which hosts?'),
    ({'HOSTS': 'node0 a;b'}, "'a;b'"),
    ({'HOSTS': '-oProxyCommand=x'}, "'-oProxyCommand=x'"),
    ({'HOSTS_FILE': 'no-such-file'}, 'no-such-file'),
    ({'HOSTS': 'node0', 'PORT': 'x'}, 'PORT=x'),
  ],
)
def test_hosts_that_are_none_are_refused(environment, told):
  start = time.monotonic()
  result = subprocess.run(
    [LAUNCH / 'hosts.sh', '--config=digits_resnet20'],
    env=os.environ | environment,
    capture_output=True,
    text=True,
    timeout=20,
  )
  assert result.returncode == 2
  assert result.stderr.startswith('error: ') and told in result.stderr
  assert time.monotonic() - start < 5  # not started again


def test_an_array_of_seeds_refuses_a_seed():
  result = subprocess.run(
    [LAUNCH / 'slurm.sh', '--config=digits_resnet20', '--config.seed=3'],
    env=os.environ | {'SLURM_ARRAY_TASK_ID': '1'},
    capture_output=True,
    text=True,
  )
  assert result.returncode == 2
  assert '--config.seed=3' in result.stderr
