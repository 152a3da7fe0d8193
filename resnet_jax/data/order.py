"""The order of training examples, a function of the seed and the position.

Position p, counted from the start of training, is in epoch p // examples, and
each epoch is a permutation of its own. Nothing is carried along or dropped: a
batch may end one epoch and open the next, every example comes once an epoch,
and a resumed run finds its place by the step alone.
"""

import functools
from collections.abc import Callable

import flax.struct
import jax
import numpy as np

from resnet_jax.errors import UserError


class Order(flax.struct.PyTreeNode):
  """Two epochs in a row: a batch may end the first and open the second.

  Attributes:
    first: Number of the first of the two epochs, int32.
    indices: Their examples, int32 [2, n].
  """

  first: jax.Array | np.int32
  indices: jax.Array | np.ndarray


# A batch needs two epochs, and two batches may be made at once.
@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
  """The examples of one epoch in their order, int32 [examples]."""
  shuffler = np.random.default_rng((seed, epoch))
  order = shuffler.permutation(examples).astype(np.int32)
  order.flags.writeable = False
  return order


def examples_at(
  seed: int, positions: np.ndarray, examples: int
) -> tuple[np.ndarray, np.ndarray]:
  """Example and epoch of each of `positions`, int32."""
  epochs = (positions // examples).astype(np.int32)
  first, last = int(epochs.min()), int(epochs.max())
  orders = [epoch_order(seed, e, examples) for e in range(first, last + 1)]
  return np.stack(orders)[epochs - first, positions % examples], epochs


def held_out(
  name: str, total: int, examples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """The numbers of the examples that are held out, and of the rest, in order.

  Args:
    name: The set's name, for messages.
    total: Examples of the training set.
    examples: How many of them are held out.
    seed: Decides which ones.

  Raises:
    UserError: there are fewer than that, or none would be left.
  """
  if not 0 < examples < total:
    raise UserError(
      f'config.dataset.validation_examples is {examples}; {name} has {total} '
      f'training examples, so it can be 0 to {total - 1}'
    )
  order = np.random.default_rng(seed).permutation(total)
  return np.sort(order[:examples]), np.sort(order[examples:])


class OrderFeed:
  """The order of examples around a step, put on the devices once an epoch.

  Args:
    seed: Seed of the run.
    examples: Size of the training set; at least `batch_size`.
    batch_size: Examples of a step over all hosts and devices.
    put: Copies a pytree to the devices.
  """

  def __init__(
    self,
    *,
    seed: int,
    examples: int,
    batch_size: int,
    put: Callable[[Order], Order],
  ) -> None:
    self._seed = seed
    self._examples = examples
    self._batch_size = batch_size
    self._put = put
    self._current: tuple[int, Order] | None = None

  def at(self, step: int) -> Order:
    """The epoch in which the batch of `step` begins, and the next."""
    first = step * self._batch_size // self._examples
    if self._current is None or self._current[0] != first:
      indices = [
        epoch_order(self._seed, epoch, self._examples)
        for epoch in (first, first + 1)
      ]
      order = self._put(Order(np.int32(first), np.stack(indices)))
      self._current = first, order
    return self._current[1]
