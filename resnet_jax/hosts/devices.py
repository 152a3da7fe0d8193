"""The GPUs that a job was given, and whether JAX uses all of them."""

import collections
import logging
import os
import pathlib
from typing import Any

import jax

from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

_DRIVER = pathlib.Path('/proc/driver/nvidia/gpus')


def allotted() -> list[str]:
  """The GPUs that this process may use, by CUDA's names or numbers."""
  visible = os.environ.get('CUDA_VISIBLE_DEVICES')
  if visible is not None:
    names = [name.strip() for name in visible.split(',')]
    return [name for name in names if name and not name.startswith('-')]
  try:
    return [str(i) for i, _ in enumerate(_DRIVER.iterdir())]
  except OSError:
    return []


def share(hosts: list[dict[str, Any]], index: int) -> list[int] | None:
  """The GPUs of host `index` where its machine has several; None: all it sees.

  Several processes of one machine that all see the same GPUs divide them.

  Args:
    hosts: For each host the `name` of its machine and the `gpus` allotted.
    index: Which of them.

  Raises:
    UserError: the GPUs of a machine cannot be divided by its processes.
  """
  mine = hosts[index]
  together = [
    i
    for i, host in enumerate(hosts)
    if (host['name'], host['gpus']) == (mine['name'], mine['gpus'])
  ]
  gpus, processes = len(mine['gpus']), len(together)
  if not gpus or processes == 1:
    return None
  if gpus % processes:
    raise UserError(
      f'{processes} hosts (processes) are on {mine["name"]}, whose {gpus} GPUs '
      f'they cannot share evenly; start one process on it, or one for each GPU'
    )
  each = gpus // processes
  first = together.index(index) * each
  return list(range(first, first + each))


def expected(hosts: list[dict[str, Any]], index: int) -> int:
  """How many GPUs host `index` should use; see `share`."""
  own = share(hosts, index)
  return len(hosts[index]['gpus'] if own is None else own)


def process_index() -> int:
  """The number of this host; the first question to the devices.

  Raises:
    UserError: JAX has no device of the kind that JAX_PLATFORMS asks for.
  """
  try:
    return jax.process_index()
  except (RuntimeError, AssertionError) as e:
    wanted = jax.config.jax_platforms  # type: ignore[attr-defined]
    if not wanted:
      raise
    raise UserError(
      f'JAX_PLATFORMS={wanted} asks for devices that JAX does not find '
      f'here. For NVIDIA GPUs: is there a driver (nvidia-smi), and is '
      f"JAX installed for it (pip install 'jax[cuda13]')? JAX_PLATFORMS=cpu "
      f'computes on the CPU'
    ) from e


def check(gpus: list[int]) -> None:
  """Refuses to leave GPUs of the allocation idle, and hosts that are unequal.

  On a lone machine whose GPUs JAX cannot use, that is a warning.

  Args:
    gpus: How many GPUs each host of the job should use; 0 where there are none.

  Raises:
    UserError: with the numbers, the likely cause and the mend.
  """
  found = collections.Counter(d.process_index for d in jax.devices())
  counts = [found[host] for host in range(jax.process_count())]
  platform = jax.devices()[0].platform
  if platform == 'gpu':
    if counts != gpus and sum(counts) < sum(gpus):
      raise UserError(
        f'{_times(gpus)} GPUs expected, {_times(counts, "")} found: the '
        f'processes do not see all GPUs that the job was given. Under SLURM, '
        f'start one process a node with --gpu-bind=none, or one for each GPU; '
        f'else see CUDA_VISIBLE_DEVICES'
      )
  elif platform == 'cpu' and sum(gpus) and not _asked_for_cpu():
    message = (
      f'{_times(gpus)} GPUs expected, none found: JAX here computes on the '
      f"CPU. Install it for the GPUs (pip install 'jax[cuda13]'), or say that "
      f'the CPU is meant with JAX_PLATFORMS=cpu'
    )
    if len(gpus) > 1:
      raise UserError(message)
    _log.warning('%s', message)  # a first try on a machine of one's own
  if len(set(counts)) > 1:
    raise UserError(
      f'hosts have {counts} devices, and need the same number each. Name those '
      f'to use with CUDA_VISIBLE_DEVICES, or --cpu_devices'
    )


def _times(counts: list[int], noun: str = ' host') -> str:
  """`2 hosts x 8`."""
  if len(set(counts)) > 1:
    return ' + '.join(map(str, counts))
  return f'{len(counts)}{noun}{"s" * bool(noun and counts[1:])} x {counts[0]}'


def _asked_for_cpu() -> bool:
  platforms = jax.config.jax_platforms  # type: ignore[attr-defined]
  return (platforms or '').split(',')[0] == 'cpu'
