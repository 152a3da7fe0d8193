"""Batches of a small set that lives on the device, made in the compiled step.

CIFAR-10 is 180 MB as uint8, so that every device holds all of it: gather, pad,
crop, flip and mean subtraction cost no transfer and no work on the host.
"""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.order import Order


class Examples(flax.struct.PyTreeNode):
  """A split on the device: uint8 images [n, h, w, c] and int32 labels [n]."""

  images: jax.Array | np.ndarray
  labels: jax.Array | np.ndarray


class Chosen(flax.struct.PyTreeNode):
  """The examples of a batch, on the device or on the host.

  Attributes:
    images: uint8 [batch, h, w, c].
    labels, epochs, ids: int32 [batch].
  """

  images: Any
  labels: Any
  epochs: Any
  ids: Any


def train_batch(
  examples: Examples,
  order: Order,
  normalization: Normalization,
  positions: jax.Array,
  *,
  key: jax.Array,
  pad: int,
  flip: bool,
) -> tuple[jax.Array, jax.Array]:
  """The augmented examples at `positions` of training (Sec. 4.2).

  Args:
    examples: The training split.
    order: The epochs that `positions` lie in.
    normalization: Applied to the images before they are padded.
    positions: int32 [batch], counted from the start of training.
    key: The augmentation of an example depends on this key, on the epoch and on
      the example, and not on the batch or the device that it is in.
    pad: Pixels padded on EACH side, of value 0 after mean subtraction.
    flip: Whether to mirror with probability 1/2.

  Returns:
    Images, float32 [batch, h, w, c], and labels, int32 [batch].
  """
  n = order.indices.shape[1]
  offset = positions - order.first * n
  index = order.indices.reshape(-1)[offset]
  chosen = Chosen(
    examples.images[index],
    examples.labels[index],
    order.first + offset // n,
    index,
  )
  return augmented(chosen, normalization, key=key, pad=pad, flip=flip)


def augmented(
  chosen: Chosen,
  normalization: Normalization,
  *,
  key: jax.Array,
  pad: int,
  flip: bool,
) -> tuple[jax.Array, jax.Array]:
  """The result of `train_batch`, of examples that were chosen before."""
  images = normalization(chosen.images)
  if pad or flip:
    augment = functools.partial(_augment, pad=pad, flip=flip)
    images = jax.vmap(augment, (0, None, 0, 0))(
      images, key, chosen.epochs, chosen.ids
    )
  return images, chosen.labels


def _augment(
  image: jax.Array,
  key: jax.Array,
  epoch: jax.Array,
  index: jax.Array,
  *,
  pad: int,
  flip: bool,
) -> jax.Array:
  """A random crop of the padded image, of its first size, mirrored or not."""
  key = jax.random.fold_in(jax.random.fold_in(key, epoch), index)
  bits = jax.random.bits(key, (3,), jnp.uint32)
  top, left = (bits[:2] % (2 * pad + 1)).astype(jnp.int32)
  padded = jnp.pad(image, ((pad, pad), (pad, pad), (0, 0)))
  corner = (top, left, jnp.int32(0))
  crop = jax.lax.dynamic_slice(padded, corner, image.shape)
  if not flip:
    return crop
  return jnp.where(bits[2] % 2 == 1, crop[:, ::-1], crop)
