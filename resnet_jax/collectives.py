"""What the devices tell each other in a step of training, besides BN groups.

benchmarks/gpu_program.py tells how much of the passes is left when one leaves.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from resnet_jax.placement import AXIS

# Bytes of gradients that travel in one message; XLA would join what is smaller,
# in an order of its own. Four of ResNet-50: each takes longer than it waits for
# the next device, and the first goes out early in the backward pass.
_MESSAGE = 30 * 2**20


def device_mean(gradients: Any) -> Any:
  """The mean of each array over the devices, in a few messages.

  A message is complete when the backward pass has come past its arrays, and
  travels while that goes on; the last one, with which XLA joins BN's running
  averages and the sums of the losses, while parameters are updated. The barrier
  keeps updates out of the backward pass. XLA would join the update of a filter
  with its conversion to bfloat16, and the pass would wait for each message.
  """
  if jax.lax.axis_size(AXIS) == 1:
    return gradients
  leaves, structure = jax.tree.flatten(gradients)
  groups = messages(leaves[::-1])
  *others, last = [
    jnp.concatenate([x.ravel() for x in group]) for group in groups
  ]
  if others:
    others = jax.lax.pmean(others, AXIS)
    others, last = jax.lax.optimization_barrier((others, last))
  means: list[jax.Array] = []
  vectors = [*others, jax.lax.pmean(last, AXIS)]
  for group, vector in zip(groups, vectors, strict=True):
    ends = itertools.accumulate(x.size for x in group)
    parts = jnp.split(vector, list(ends)[:-1])
    shaped = zip(parts, group, strict=True)
    means += [part.reshape(x.shape) for part, x in shaped]
  return jax.tree.unflatten(structure, means[::-1])


def device_sum(x: jax.Array) -> jax.Array:
  """The sum over the devices; counts of examples are alike on all."""
  if jnp.issubdtype(x.dtype, jnp.integer):
    return x * jax.lax.axis_size(AXIS)
  return jax.lax.psum(x, AXIS)


def messages(arrays: Sequence[jax.Array]) -> list[list[jax.Array]]:
  """The arrays in their order, up to _MESSAGE bytes of one type together.

  They are those of gradients in the order of the backward pass.
  """
  found: list[list[jax.Array]] = []
  size = 0
  for x in arrays:
    size += x.nbytes
    if not found or size > _MESSAGE or x.dtype != found[-1][-1].dtype:
      found.append([])
      size = x.nbytes
    found[-1].append(x)
  return found
