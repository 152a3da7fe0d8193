"""Which of several hosts this process is, by its flags or its cluster.

SLURM, Open MPI and Kubernetes are recognized as `jax.distributed` does it.
"""

import dataclasses
import os
import re
import warnings

# Private, and the only place that knows what a cluster's variables mean.
from jax._src import clusters

from resnet_jax.errors import UserError

_CLUSTERS = (clusters.SlurmCluster, clusters.OmpiCluster, clusters.K8sCluster)


@dataclasses.dataclass(frozen=True)
class Place:
  """The place of this process in its job.

  Attributes:
    address: Name or address of the first host.
    port: The port on which the first host listens.
    count: How many hosts there are.
    index: The number of this one, from 0.
  """

  address: str
  port: int
  count: int
  index: int

  def __str__(self) -> str:
    return self.at(self.port)

  def at(self, port: int) -> str:
    """HOST:PORT of the first host; an IPv6 address stands in brackets."""
    host = f'[{self.address}]' if ':' in self.address else self.address
    return f'{host}:{port}'


def find(
  coordinator: str | None, count: int | None, index: int | None, *, detect: bool
) -> Place | None:
  """The place of this process, or None where it is alone.

  Args:
    coordinator: `--coordinator`, HOST:PORT of the first host.
    count: `--num_hosts`.
    index: `--host`.
    detect: Whether to ask the cluster where no flag says anything.

  Raises:
    UserError: flags that contradict each other, or mean nothing.
  """
  if coordinator is None and count is None and index is None:
    return _detected() if detect else None
  if count is not None and count < 1:
    raise UserError(f'--num_hosts={count} must be at least 1')
  if index is not None and not 0 <= index < (count or 1):
    of = (
      f'--num_hosts={count}' if count else 'one host (--num_hosts is missing)'
    )
    raise UserError(
      f'--host={index} does not exist with {of}: hosts are counted from 0 to '
      f'{(count or 1) - 1}'
    )
  if count is None and coordinator:
    raise UserError(
      f'--coordinator={coordinator} is for several hosts: say how many with '
      f'--num_hosts=N, and which one this is with --host=I'
    )
  if count is None or count == 1:
    return None
  if coordinator is None:
    raise UserError(
      f'--num_hosts={count} needs --coordinator=HOST:PORT, the name of host 0 '
      f'and a free port of it, the same on all hosts'
    )
  if index is None:
    raise UserError(
      f'--num_hosts={count} needs --host=I, the number of this host, from 0 to '
      f'{count - 1}'
    )
  return Place(*_parse(coordinator), count, index)


def _parse(coordinator: str) -> tuple[str, int]:
  match = re.fullmatch(
    r'(\[[0-9a-fA-F:.%\w]+\]|[^\s:\[\]/]+):(\d+)', coordinator
  )
  if not match or not 0 < int(match[2]) < 2**16 or not _is_name(match[1]):
    raise UserError(
      f'--coordinator={coordinator} should be HOST:PORT, such as node0:1234, '
      f'with a port of 1 to 65535'
    )
  return match[1].strip('[]'), int(match[2])


def _is_name(text: str) -> bool:
  """Whether names can be looked up by `text`: no part empty or too long."""
  try:
    return bool(text.encode('idna'))
  except UnicodeError:
    return False


def _check_alone() -> None:
  """Refuses to train alone where a launcher began more, unseen by JAX."""
  variables = os.environ
  launchers = [
    ('mpirun', variables.get('OMPI_COMM_WORLD_SIZE'), 'OMPI_COMM_WORLD_RANK'),
    ('mpirun', variables.get('PMI_SIZE'), 'PMI_RANK'),
    ('JAX_NUM_PROCESSES', variables.get('JAX_NUM_PROCESSES'), 'JAX_PROCESS_ID'),
  ]
  for launcher, count, rank in launchers:
    if count not in (None, '', '1'):
      raise UserError(
        f'{launcher} says that there are {count} processes, and JAX does not '
        f'recognize what started them: each would train alone. Add '
        f'--coordinator=HOST:PORT --num_hosts={count} and, in a shell of each '
        f'process, --host=${rank}; or train alone with --cluster=none'
      )
  pod = variables.get('JOB_COMPLETION_INDEX', '0')
  if 'KUBERNETES_SERVICE_HOST' in variables and pod != '0':
    raise UserError(
      f'this is pod {pod} of an indexed Job, and would train alone: JAX finds '
      f'the others with the package kubernetes, or add --coordinator=HOST:PORT '
      f'--num_hosts=N --host=$JOB_COMPLETION_INDEX, as launch/kubernetes.yaml '
      f'does. Train alone with --cluster=none'
    )


def _detected() -> Place | None:
  """What the cluster says, where it has started more than one process."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # Kubernetes, without its Python package
    found = [kind for kind in _CLUSTERS if kind.is_env_present()]
  if not found:
    _check_alone()
    return None
  cluster = found[0]
  try:
    count, index = cluster.get_process_count(), cluster.get_process_id()
    if count == 1:
      return None
    address = cluster.get_coordinator_address(
      timeout_secs=None, override_coordinator_port=None
    )
    place = Place(*_parse(address), count, index)
  except (UserError, RuntimeError, ValueError, KeyError) as e:
    raise UserError(
      f'this looks like a job of a cluster ({cluster.__name__}), which does '
      f'not say who takes part: {e}. Say it with --coordinator, --num_hosts '
      f'and --host, or train alone with --cluster=none'
    ) from e
  return place
