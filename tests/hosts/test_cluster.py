"""Which host a process is, by flags and by the cluster's own variables."""

import pytest

from resnet_jax.errors import UserError
from resnet_jax.hosts import cluster
from resnet_jax.hosts.cluster import Place


@pytest.mark.parametrize(
  ('coordinator', 'count', 'index', 'telling'),
  [
    (None, 2, None, r'--num_hosts=2 needs --coordinator=HOST:PORT'),
    (None, 2, 0, r'--num_hosts=2 needs --coordinator=HOST:PORT'),
    (None, None, 5, r'--host=5 does not exist with one host'),
    ('a:1', 2, 5, r'--host=5 does not exist with --num_hosts=2: .* 0 to 1'),
    ('a:1', 2, -1, r'--host=-1 does not exist'),
    ('a:1', 0, 0, r'--num_hosts=0 must be at least 1'),
    ('a:1', -3, None, r'--num_hosts=-3 must be at least 1'),
    ('a:1', None, 0, r'say how many with --num_hosts'),
    ('a..b:1', 2, 0, r'--coordinator=a..b:1 should be HOST:PORT'),
    ('a' * 64 + ':1', 2, 0, r'--coordinator=a{64}:1 should be HOST:PORT'),
    ('a:1', 2, None, r'--num_hosts=2 needs --host=I, .* from 0 to 1'),
    ('nonsense', 2, 0, r'should be HOST:PORT, such as node0:1234'),
    ('a:0', 2, 0, r'a port of 1 to 65535'),
    ('a:65536', 2, 0, r'a port of 1 to 65535'),
    ('http://a:80', 2, 0, r'should be HOST:PORT'),
    ('a b:80', 2, 0, r'should be HOST:PORT'),
    ('', 2, 0, r'should be HOST:PORT'),
  ],
)
def test_flags_that_mean_nothing(coordinator, count, index, telling):
  with pytest.raises(UserError, match=telling):
    cluster.find(coordinator, count, index, detect=True)


@pytest.mark.parametrize(
  ('words', 'place'),
  [
    (('node0:1234', 2, 1), Place('node0', 1234, 2, 1)),
    (('10.0.0.1:1', 3, 0), Place('10.0.0.1', 1, 3, 0)),
    (('[fe80::1]:80', 2, 0), Place('fe80::1', 80, 2, 0)),
    (('node0:1234', 1, 0), None),
    ((None, 1, 0), None),
    ((None, None, 0), None),
    ((None, None, None), None),
  ],
)
def test_flags(words, place):
  assert cluster.find(*words, detect=True) == place


def test_an_ipv6_address_keeps_its_brackets():
  place = cluster.find('[fe80::1]:80', 2, 0, detect=True)
  assert (str(place), place.at(81)) == ('[fe80::1]:80', '[fe80::1]:81')


SLURM = {
  'SLURM_JOB_ID': '17',
  'SLURM_STEP_NODELIST': 'node[003-005,007]',
  'SLURM_NTASKS': '4',
  'SLURM_PROCID': '2',
  'SLURM_LOCALID': '0',
}
OPEN_MPI = {
  'OMPI_MCA_orte_hnp_uri': '1531576320.0;tcp://10.96.0.1,10.148.0.1:34911',
  'OMPI_COMM_WORLD_SIZE': '2',
  'OMPI_COMM_WORLD_RANK': '1',
}


@pytest.mark.parametrize(
  ('variables', 'address', 'count', 'index'),
  [(SLURM, 'node003', 4, 2), (OPEN_MPI, '10.96.0.1', 2, 1)],
)
def test_clusters(monkeypatch, variables, address, count, index):
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  found = cluster.find(None, None, None, detect=True)
  assert (found.address, found.count, found.index) == (address, count, index)
  assert cluster.find(None, None, None, detect=False) is None
  # Flags are the user's own word.
  assert cluster.find('a:1', 2, 0, detect=True) == Place('a', 1, 2, 0)


def test_one_task_of_slurm_is_alone(monkeypatch):
  for name, value in (SLURM | {'SLURM_NTASKS': '1'}).items():
    monkeypatch.setenv(name, value)
  assert cluster.find(None, None, None, detect=True) is None


def test_a_shell_inside_an_allocation_is_alone(monkeypatch):
  """Only `srun` starts several processes."""
  for name, value in SLURM.items():
    if name != 'SLURM_STEP_NODELIST':
      monkeypatch.setenv(name, value)
  assert cluster.find(None, None, None, detect=True) is None


# What launchers set that JAX does not see here, and what is said of it.
UNSEEN = {
  'Open MPI': (
    {k: v for k, v in OPEN_MPI.items() if k != 'OMPI_MCA_orte_hnp_uri'},
    r'mpirun says that there are 2 processes.*--host=\$OMPI_COMM_WORLD_RANK',
  ),
  'MPICH': ({'PMI_SIZE': '4', 'PMI_RANK': '1'}, r'4 processes.*\$PMI_RANK'),
  "JAX's own": (
    {'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '0'},
    r'JAX_NUM_PROCESSES says that there are 2',
  ),
  'Kubernetes': (
    {'KUBERNETES_SERVICE_HOST': '10.0.0.1', 'JOB_COMPLETION_INDEX': '1'},
    r'this is pod 1 of an indexed Job.*--host=\$JOB_COMPLETION_INDEX',
  ),
}


@pytest.mark.parametrize('launcher', UNSEEN)
def test_a_launcher_that_jax_does_not_recognize(monkeypatch, launcher):
  variables, told = UNSEEN[launcher]
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(UserError, match=told):
    cluster.find(None, None, None, detect=True)
  assert cluster.find(None, None, None, detect=False) is None


def test_a_cluster_that_says_nonsense(monkeypatch):
  for name, value in (SLURM | {'SLURM_NTASKS': 'many'}).items():
    monkeypatch.setenv(name, value)
  with pytest.raises(UserError, match=r'SlurmCluster.*many.*--cluster=none'):
    cluster.find(None, None, None, detect=True)


def test_a_cluster_without_names(monkeypatch):
  for name in SLURM:
    monkeypatch.setenv(name, SLURM[name])
  for name in ('SLURM_JOB_NODELIST', 'SLURM_STEP_NODELIST', 'SLURM_NODELIST'):
    monkeypatch.setenv(name, '')
  with pytest.raises(UserError, match=r'^this looks like a job of a cluster'):
    cluster.find(None, None, None, detect=True)
