"""Blocks that are alike as one program in a loop, whatever their number.

XLA compiles a loop in the time of one block. But it cannot see through it, so
that what passes between iterations, and what the backward pass will read, is
written out here: the fewest maps, and small arrays in stacks.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def in_a_loop(
  block: nn.Module,
  trees: dict[str, list[Any]],
  x: jax.Array,
  train: bool,
  *,
  remat: bool,
) -> tuple[jax.Array, list[Any]]:
  """Applies `block` to `x` with the variables of each block in turn.

  Args:
    block: One of the blocks, without variables.
    trees: The variables of each, by collection.
    x: The maps before the first.
    train: Whether BN uses and keeps statistics of the batch.
    remat: Whether the backward pass recomputes all of a block.

  Returns:
    The maps behind the last, and in training the new `batch_stats` of each.
  """

  def step(x: jax.Array, rows: dict[str, Any]) -> tuple[jax.Array, Any]:
    variables = {key: _unpack(row, trees[key][0]) for key, row in rows.items()}
    outputs: Any = block.apply(variables, x, train, mutable=['batch_stats'])
    y, updates = outputs
    return y, _pack([updates['batch_stats']]) if train else None

  policy = None if remat else _keep
  step = jax.checkpoint(step, prevent_cse=False, policy=policy)
  rows = {key: _pack(each) for key, each in trees.items()}
  x, updates = jax.lax.scan(step, x, rows)
  if not train:
    return x, []
  return x, [
    _unpack([stack[i, 0] for stack in updates], like)
    for i, like in enumerate(trees['batch_stats'])
  ]


def _pack(trees: Sequence[Any]) -> list[jax.Array]:
  """Arrays of trees that are alike, [trees, arrays, ...] for each shape.

  A loop reads and writes each array that it is given by a kernel of its own, so
  those of one shape go together.
  """
  rows = [jax.tree.leaves(tree) for tree in trees]
  return [
    jnp.stack([row[i] for row in rows for i in places]).reshape(
      len(rows), len(places), *shape
    )
    for shape, places in _places(rows[0]).items()
  ]


def _unpack(row: Sequence[jax.Array], like: Any) -> Any:
  """One of the trees of `_pack`, from [arrays, ...] for each shape."""
  leaves, structure = jax.tree.flatten(like)
  for stack, places in zip(row, _places(leaves).values(), strict=True):
    for i, place in enumerate(places):
      leaves[place] = stack[i]
  return jax.tree.unflatten(structure, leaves)


def _places(leaves: Sequence[Any]) -> dict[tuple[int, ...], list[int]]:
  """The places of the leaves of each shape."""
  places: dict[tuple[int, ...], list[int]] = {}
  for place, leaf in enumerate(leaves):
    places.setdefault(leaf.shape, []).append(place)
  return places


def _keep(primitive: Any, *_: Any, **__: Any) -> bool:
  """Whether the backward pass reads a result again: convolutions, BN's sums.

  The rest it computes anew, in passes over the maps that read these in any
  case. Without a loop XLA does so by itself.
  """
  return primitive.name in ('conv_general_dilated', 'reduce_sum', 'psum')
