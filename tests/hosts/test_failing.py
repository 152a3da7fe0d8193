"""Hosts as real processes: one fails, is killed or stopped, and all end."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from resnet_jax.runs import checkpoint, history
from tests import command
from tests.hosts.processes import Hosts

SLOW, LONG = pytest.mark.slow, pytest.mark.long
# Within these the others have ended; seen on an idle machine: 0.2.
SECONDS = 20


def words(digits_npz, workdir, *more):
  return command.arguments(digits_npz, workdir, *more)


def last_words(output):
  return output.strip().splitlines()[-1]


def final(workdir):
  series = checkpoint.Series(workdir / 'checkpoints' / 'latest', keep=None)
  try:
    return series.newest()
  finally:
    series.close()


def assert_same_end(workdir, other):
  one, two = final(workdir), final(other)
  assert one.step == two.step
  assert one.arrays.keys() == two.arrays.keys()
  for name, x in one.arrays.items():
    np.testing.assert_array_equal(two.arrays[name], x, err_msg=name)
  errors = [
    [(r['step'], r['split'], r['error']) for r in history.read_metrics(folder)]
    for folder in (workdir, other)
  ]
  assert errors[0] == errors[1]


@pytest.fixture(scope='module')
def uncut(digits_npz, tmp_path_factory):
  """A run of two hosts that nothing happens to."""
  workdir = tmp_path_factory.mktemp('uncut') / 'run'
  run_to_the_end(words(digits_npz, workdir))
  return workdir


def run_to_the_end(arguments):
  with Hosts(arguments, arguments) as hosts:
    codes, outputs, _ = hosts.ended()
  assert codes == [0, 0], outputs
  return outputs


@pytest.mark.parametrize(
  ('host', 'after'),
  [
    pytest.param(0, 'step 12/30', marks=SLOW),
    pytest.param(1, 'step 12/30', marks=LONG),
    # It writes the results alone, and must not be left alone to be started
    # again.
    pytest.param(0, '[recomputed BN statistics]', marks=LONG),
  ],
)
def test_a_host_that_is_killed(digits_npz, tmp_path, uncut, host, after):
  """Host 0 is the coordinator, too; afterwards the run goes on to the same."""
  arguments = words(digits_npz, tmp_path / 'run')
  with Hosts(arguments, arguments) as hosts:
    hosts.wait_for(after)
    hosts.kill(host)
    codes, outputs, seconds = hosts.ended()
  other = 1 - host
  assert codes[other] == 75, outputs
  assert seconds < SECONDS
  assert last_words(outputs[other]).startswith(f'error: host {host} of 2 (')
  assert 'has gone without a word' in last_words(outputs[other])
  for sign in ('Traceback', 'Check failed', '@ '):
    assert sign not in outputs[other]
  run_to_the_end(arguments)
  assert_same_end(tmp_path / 'run', uncut)


# A line of host 0's log after which a signal comes; '' is while importing.
MOMENTS = {
  'importing': '',
  'loading': 'loading ',
  'compiling': 'compiling the training step',
  'in the loop': 'step 8/30',
  'recomputing': 'recomputing BN statistics',
}


@pytest.mark.parametrize(
  ('moment', 'host'),
  [
    pytest.param(
      *(moment, host),
      marks=SLOW if (moment, host) == ('in the loop', 1) else LONG,
    )
    for moment in MOMENTS
    for host in (0, 1)
  ],
)
def test_a_signal_stops_all_hosts(digits_npz, tmp_path, moment, host):
  more = '--config.bn_recompute_batches=2000'
  arguments = words(digits_npz, tmp_path / 'run', more)
  with Hosts(arguments, arguments) as hosts:
    hosts.wait_for(MOMENTS[moment])
    if moment == 'importing':
      with pytest.raises(subprocess.TimeoutExpired):
        hosts.processes[host].wait(1.5)
    hosts.send(signal.SIGTERM, host)
    codes, outputs, _ = hosts.ended()
  assert codes == [143, 143], outputs
  for output in outputs:
    assert 'Traceback' not in output and 'error' not in last_words(output)
  if moment == 'in the loop':
    ends = [last_words(output) for output in outputs]
    assert ends[0] == ends[1]
    found = final(tmp_path / 'run')
    assert f'stopped by SIGTERM at step {found.step} of 30; saved' in ends[0]
  else:
    assert last_words(outputs[host]) == 'interrupted by SIGTERM'
    told = f'interrupted by SIGTERM on host {host} of 2'
    assert last_words(outputs[1 - host]) == told


# What host 1 alone does at its third batch.
FAULTS = {
  'an error to mend': ("raise UserError('the disk is full')", 2),
  'a crash': ("raise ValueError('a bug')", 1),
}
SITE = """
import sys
if '--host=1' in sys.orig_argv:
  from resnet_jax.errors import UserError
  from resnet_jax.trainer import Trainer
  before = Trainer.train_step
  def train_step(self, step):
    if step == 13:
      {fault}
    before(self, step)
  Trainer.train_step = train_step
from resnet_jax.main import run
run(sys.argv)
"""


@pytest.mark.parametrize(
  'fault',
  [
    pytest.param('an error to mend', marks=SLOW),
    pytest.param('a crash', marks=LONG),
  ],
)
def test_what_one_host_finds_ends_all(digits_npz, tmp_path, fault, monkeypatch):
  program, code = FAULTS[fault]
  script = tmp_path / 'faulty.py'
  script.write_text(SITE.format(fault=program))
  arguments = words(digits_npz, tmp_path / 'run')
  popen = subprocess.Popen

  def start(line, **options):
    return popen([sys.executable, str(script), *line[3:]], **options)

  with monkeypatch.context() as patch:
    patch.setattr(subprocess, 'Popen', start)
    environment = {'PYTHONPATH': str(command.ROOT)}
    hosts = Hosts(arguments, arguments, environment=environment)
  with hosts:
    codes, outputs, _ = hosts.ended()
  if code == 2:
    assert codes == [2, 2], outputs
    assert last_words(outputs[1]) == 'error: the disk is full'
    assert 'host 1 of 2 (' in last_words(outputs[0])
    assert last_words(outputs[0]).endswith('): the disk is full')
    assert 'Traceback' not in outputs[0] + outputs[1]
  else:
    assert codes == [75, 1], outputs
    assert 'ValueError: a bug' in last_words(outputs[1])
    assert ' crashed: ValueError: a bug. Start all' in last_words(outputs[0])
    assert 'Traceback' not in outputs[0]
  assert final(tmp_path / 'run').step == 10


@pytest.mark.long
def test_a_checkpoint_that_cannot_be_written(digits_npz, tmp_path):
  """Only the first host writes, and no other waits for it in vain."""
  arguments = words(digits_npz, tmp_path / 'run')
  with Hosts(arguments, arguments, largest_file=200_000) as hosts:
    codes, outputs, _ = hosts.ended()
  assert codes == [2, 2], outputs
  told = 'a checkpoint could not be written to'
  assert last_words(outputs[0]).startswith(f'error: {told}')
  assert f'): {told}' in last_words(outputs[1])
  assert 'Traceback' not in outputs[0] + outputs[1]


@pytest.mark.long
def test_a_host_that_never_comes(digits_npz, tmp_path):
  more = '--config.run.host_wait=3'
  arguments = words(digits_npz, tmp_path / 'run', more)
  with Hosts(arguments, [*arguments, '--no_such_flag']) as hosts:
    codes, outputs, _ = hosts.ended()
  assert codes == [75, 2], outputs
  assert 'host 0 of 2 waits: host 1 missing (1 of 3 s)' in outputs[0]
  assert 'has waited 3 seconds in vain: host 1 miss' in last_words(outputs[0])
