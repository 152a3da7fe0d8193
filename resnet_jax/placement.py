"""Puts arrays of the host on its devices, as copies or as shares."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# The pmap axis that a batch is shared out over.
AXIS = 'batch'

# Purposes of randomness: each has a key of its own under the run's seed.
INIT, AUGMENT, DROPOUT = 0, 1, 2


def replicas() -> jax.Array:
  """The number of each local device among all devices, int32."""
  devices = jax.local_device_count()
  first = jax.process_index() * devices
  return shard(np.arange(first, first + devices, dtype=np.int32), flat=True)


def replicate(tree: Any) -> Any:
  """A copy of the host's arrays on each of its devices."""
  return jax.device_put(tree, NamedSharding(_local_mesh(), PartitionSpec()))


def shard(tree: Any, *, flat: bool = False) -> Any:
  """Shares the host's examples out evenly, in order, among its devices.

  Args:
    tree: Arrays of [examples, ...].
    flat: Whether each device gets one example, without an axis for it.

  Returns:
    Arrays of [local devices, examples a device, ...].
  """
  devices = jax.local_device_count()
  if not flat:
    tree = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), tree)
  return jax.device_put(tree, NamedSharding(_local_mesh(), PartitionSpec(AXIS)))


def _local_mesh() -> Mesh:
  return Mesh(jax.local_devices(), (AXIS,))
