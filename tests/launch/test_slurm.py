"""launch/slurm.sh on a SLURM cluster of this machine, with real training."""

import json
import re
import subprocess
import sys

import pytest

from tests import command
from tests.launch import slurm_cluster, training

pytestmark = [
  pytest.mark.long,
  pytest.mark.skipif(
    bool(slurm_cluster.missing()), reason=slurm_cluster.missing()
  ),
]


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
  with slurm_cluster.running(tmp_path_factory.mktemp('slurm')) as cluster:
    cluster.environment['PYTHON'] = sys.executable
    yield cluster


def submit(cluster, flags, *options):
  """Submits launch/slurm.sh in the root of the repository, as users do."""
  output = f'--output={cluster.folder}/%A-%a.log'
  script = str(command.ROOT / 'launch' / 'slurm.sh')
  return submit_words(cluster, *options, output, script, *map(str, flags))


def submit_words(cluster, *words):
  return subprocess.run(
    ['sbatch', '--parsable', *words],
    cwd=command.ROOT,
    env=cluster.environment,
    check=True,
    text=True,
    stdout=subprocess.PIPE,
  ).stdout.strip()


def output(cluster, job):
  """What a job has written."""
  (file,) = cluster.folder.glob(f'{job}-*.log')
  return file.read_text()


@pytest.fixture(scope='module')
def uncut(cluster, digits_npz, tmp_path_factory):
  """The folder of a job that nothing has disturbed."""
  workdir = tmp_path_factory.mktemp('uncut') / 'run'
  job = submit(cluster, training.flags(digits_npz, workdir), '--nodes=2')
  state = cluster.wait(job, 'COMPLETED', 'FAILED')
  assert state == 'COMPLETED', output(cluster, job)
  return workdir


def test_a_job_trains_on_all_its_nodes(uncut):
  described = json.loads((uncut / 'environment.json').read_text())
  assert (described['hosts'], described['devices']) == (2, 2)


@pytest.mark.parametrize(
  ('partition', 'who'), [('low', 'queued again'), ('rude', 'not queued again')]
)
def test_a_preempted_job_is_queued_again_and_ends_bit_equal(
  cluster, digits_npz, tmp_path, uncut, partition, who
):
  """With a GraceTime it is our script that queues it again, else SLURM."""
  workdir = tmp_path / 'run'
  flags = training.flags(digits_npz, workdir)
  job = submit(cluster, flags, '--nodes=2', f'--partition={partition}')
  training.wait_until(lambda: training.has_saved(workdir))
  urgent = submit_words(
    cluster,
    '--partition=high',
    '--nodes=2',
    '--output=/dev/null',
    '--wrap=sleep 1',
  )
  cluster.wait(job, 'PENDING')
  cluster.wait(urgent, 'COMPLETED')
  # SLURM lets a job that is queued again wait for two minutes.
  cluster.call('scontrol', 'update', f'jobid={job}', 'StartTime=now')
  state = cluster.wait(job, 'COMPLETED', 'FAILED')
  text = output(cluster, job)
  assert state == 'COMPLETED', text
  assert cluster.facts(job)['Restarts'] == '1'
  (stopped,) = set(re.findall(r'stopped by SIGTERM at step (\d+)', text))
  assert f'exit code 143; {who}' in text
  assert f'resumed at step {stopped} of' in text  # the last save is whole
  training.assert_same_end(workdir, uncut)


def test_an_error_of_the_user_is_not_queued_again(
  cluster, digits_npz, tmp_path
):
  flags = training.flags(digits_npz, tmp_path / 'run')
  job = submit(cluster, [*flags, '--config.batch_size=0'], '--nodes=2')
  assert cluster.wait(job, 'COMPLETED', 'FAILED') == 'FAILED'
  facts = cluster.facts(job)
  assert (facts['ExitCode'], facts['Restarts']) == ('2:0', '0')


def test_a_cancelled_job_is_not_queued_again(cluster, digits_npz, tmp_path):
  workdir = tmp_path / 'run'
  job = submit(cluster, training.flags(digits_npz, workdir), '--nodes=2')
  training.wait_until(lambda: training.has_saved(workdir))
  cluster.call('scancel', job)
  training.wait_until(lambda: not cluster.call('squeue', '-h'))
  assert cluster.facts(job)['JobState'] == 'CANCELLED'
  assert '; queued again' not in output(cluster, job)


def test_an_array_trains_a_seed_in_each_task(cluster, digits_npz, tmp_path):
  flags = training.flags(digits_npz, tmp_path)
  job = submit(cluster, flags, '--nodes=1', '--array=3-4')
  for seed in (3, 4):
    state = cluster.wait(f'{job}_{seed}', 'COMPLETED', 'FAILED')
    assert state == 'COMPLETED', output(cluster, job)
    folder = tmp_path / f'seed-{seed}'
    config = json.loads((folder / 'config.json').read_text())
    assert config['seed'] == seed
    assert (folder / 'results.json').exists()


def test_two_processes_on_a_node_find_each_other(cluster, digits_npz, tmp_path):
  flags = training.flags(digits_npz, tmp_path)
  more = '--config.duration=8', '--config.run.eval_every=8'
  job = submit(cluster, [*flags, *more], '--nodes=1', '--ntasks-per-node=2')
  state = cluster.wait(job, 'COMPLETED', 'FAILED')
  assert state == 'COMPLETED', output(cluster, job)
  described = json.loads((tmp_path / 'environment.json').read_text())
  assert described['hosts'] == 2
