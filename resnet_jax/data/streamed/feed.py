"""Training batches of pictures: cropped on the host, the rest on the device.

Crop, flip and colour of an example depend on (seed, epoch, example), and the
examples of a step on the seed and the step. So a run opens at any step without
decoding what came before, and on any number of hosts.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from resnet_jax.data.feed import MakeBatch
from resnet_jax.data.normalization import Normalization
from resnet_jax.data.order import examples_at
from resnet_jax.data.streamed.damaged import Damaged
from resnet_jax.data.streamed.records import Records
from resnet_jax.data.streamed.stream import Decoded, Request, Stream
from resnet_jax.placement import AUGMENT, shard

# The principal components of the colours of ImageNet's training pixels, RGB in
# [0, 255], in columns, and the scale of each. Public codes share these values
# (Torch, MXNet).
_COMPONENTS = (
  (-0.5675, 0.7192, 0.4009),
  (-0.5808, -0.0045, -0.8140),
  (-0.5836, -0.6948, 0.4203),
)
_SCALES = (55.46, 4.794, 1.148)


class StreamedFeed:
  """`feed.Feed` of pictures.

  Args:
    records: The training split.
    config: Config of the run.
    host, hosts: The number of this host, and how many there are.
  """

  def __init__(
    self,
    records: Records,
    config: ml_collections.ConfigDict,
    *,
    host: int,
    hosts: int,
  ) -> None:
    self._examples = len(records)
    self._seed = config.seed
    self._batch_size = config.batch_size
    self._share = config.batch_size // hosts
    self._first = host * self._share
    dataset, augment = config.dataset, config.augment
    cut = functools.partial(
      _random_crop,
      inception=augment.crop == 'inception',
      shorter_side=tuple(augment.shorter_side),
      crop=dataset.crop_size,
      antialias=dataset.antialias,
    )
    damaged = Damaged(records, limit=dataset.max_damaged)
    self._stream = Stream(records, cut, damaged)
    self._batches: Iterator[Decoded] = iter(())
    self._next: int | None = None  # the step of the next of `_batches`
    self.make_batch: MakeBatch = functools.partial(
      _make_batch,
      seed=config.seed,
      flip=augment.flip,
      pca_std=augment.pca_std,
    )

  def at(self, step: int) -> tuple[tuple[()], dict[str, jax.Array]]:
    return (), shard(self.host_batch(step))

  def host_batch(self, step: int) -> dict[str, np.ndarray]:
    """This host's part of the batch of `step`, before it leaves the host.

    Returns:
      images, uint8 [n, crop, crop, 3]; labels, epochs and ids, int32 [n].
    """
    if step != self._next:
      self._batches = self._stream.batches(self._ask, step, None)
    batch = next(self._batches)
    self._next = step + 1
    (ids,), (epochs,) = self._examples_of(np.array([step]))
    return {
      'images': batch.images,
      'labels': batch.labels,
      'epochs': epochs,
      'ids': ids,
    }

  def _examples_of(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Example and epoch of each place in these steps, [steps, share]."""
    starts = steps[:, None] * self._batch_size + self._first
    positions = starts + np.arange(self._share)
    return examples_at(self._seed, positions, self._examples)

  def _ask(self, steps: np.ndarray) -> Request:
    ids, epochs = self._examples_of(steps)
    # The seed of a crop is two 64-bit words: run and epoch, and example.
    run = (np.int64(self._seed % 2**31) << 32) + epochs
    return Request(ids, (np.stack([run, ids.astype(np.int64)], -1),))


def pca_offset(key: jax.Array, std: float) -> jax.Array:
  """AlexNet's colour shift of an image, float32 [3], RGB in [0, 255].

  A random multiple of each principal component is added to all of its pixels
  (Krizhevsky et al. 2012, Sec. 4.1).

  Args:
    key: Decides the multiples of this image.
    std: Deviation of the multiples; 0.1 in the paper of AlexNet.
  """
  multiples = std * jax.random.normal(key, (3,), jnp.float32)
  return jnp.array(_COMPONENTS) @ (multiples * jnp.array(_SCALES))


def _random_crop(
  contents: Any,
  seed: Any,
  *,
  inception: bool,
  shorter_side: tuple[int, int],
  crop: int,
  antialias: bool,
) -> Any:
  """The random crop of one picture, by TensorFlow operations.

  Args:
    contents: The file, a string scalar.
    seed: int64 [2]; the window depends on it alone.
    inception: Whether `augment.crop` is 'inception'.
    shorter_side, crop, antialias: See configs/common.py.
  """
  from resnet_jax.data.streamed import decode, windows

  def choose(size: Any) -> Any:
    if inception:
      return windows.inception_window(size, seed)
    low, high = shorter_side
    window = windows.shorter_side_window(
      size, seed, low=low, high=high, crop=crop
    )
    # A tenth faster, for at most half a pixel.
    return window if antialias else windows.whole_pixels(window)

  return decode.sample(
    contents, choose, height=crop, width=crop, antialias=antialias
  )


def _make_batch(
  step: jax.Array,
  common: tuple[()],
  share: dict[str, jax.Array],
  normalization: Normalization,
  *,
  seed: int,
  flip: bool,
  pca_std: float,
) -> tuple[jax.Array, jax.Array]:
  """`feed.MakeBatch`: flips, subtracts the mean and shifts colours."""
  del step, common  # the host has made the batch of this step
  root = jax.random.fold_in(jax.random.key(seed), AUGMENT)

  def augment(
    image: jax.Array, epoch: jax.Array, index: jax.Array
  ) -> jax.Array:
    key = jax.random.fold_in(jax.random.fold_in(root, epoch), index)
    flip_key, color_key = jax.random.split(key)
    if flip:
      image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
    x = normalization(image)
    if pca_std:
      x += pca_offset(color_key, pca_std) / normalization.std
    return x

  images = jax.vmap(augment)(share['images'], share['epochs'], share['ids'])
  return images, share['labels']
