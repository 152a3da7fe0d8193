"""Training batches of pictures: cropped on the host, the rest on the device.

The crop of an example depends on (seed, epoch, example), as do its flip and its
colour; which examples are in a step, on the step alone. So a run opens at any
step without decoding what came before, and on any number of hosts.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.order import examples_at
from resnet_jax.data.streamed import color
from resnet_jax.data.streamed.sources import Records
from resnet_jax.data.streamed.stream import Damaged, Request, Stream
from resnet_jax.placement import AUGMENT, shard


class StreamedFeed:
  """`feed.Feed` of pictures.

  Args:
    records: the training split.
    config: of the run.
    host, hosts: the number of this host, and how many there are.
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
    cut = _Cut(
      inception=augment.crop == 'inception',
      shorter_side=tuple(augment.shorter_side),
      crop=dataset.crop_size,
      antialias=dataset.antialias,
    )
    damaged = Damaged(records, limit=dataset.max_damaged)
    self._stream = Stream(records, cut, damaged)
    self._batches, self._next = None, None
    self.make_batch = _MakeBatch(
      seed=config.seed, flip=augment.flip, pca_std=augment.pca_std
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
    # A 64-bit word each, for the run with its epoch and for the example.
    run = (np.int64(self._seed % 2**31) << 32) + epochs
    return Request(ids, (np.stack([run, ids.astype(np.int64)], -1),))


@dataclasses.dataclass(frozen=True)
class _Cut:
  """The random crop of one picture: TensorFlow ops."""

  inception: bool
  shorter_side: tuple[int, int]
  crop: int
  antialias: bool

  def __call__(self, contents: Any, seed: Any) -> Any:
    from resnet_jax.data.streamed import decode, windows

    def choose(size: Any) -> Any:
      if self.inception:
        return windows.inception_window(size, seed)
      low, high = self.shorter_side
      window = windows.shorter_side_window(
        size, seed, low=low, high=high, crop=self.crop
      )
      # A tenth faster, for at most half a pixel.
      return window if self.antialias else windows.whole_pixels(window)

    return decode.sample(
      contents,
      choose,
      height=self.crop,
      width=self.crop,
      antialias=self.antialias,
    )


@dataclasses.dataclass(frozen=True)
class _MakeBatch:
  """`feed.MakeBatch`: flip, mean and colour."""

  seed: int
  flip: bool
  pca_std: float

  def __call__(
    self,
    step: jax.Array,
    common: tuple[()],
    share: dict[str, jax.Array],
    normalization: Normalization,
  ) -> tuple[jax.Array, jax.Array]:
    del step, common  # the host has made the batch of this step
    root = jax.random.fold_in(jax.random.key(self.seed), AUGMENT)

    def augment(
      image: jax.Array, epoch: jax.Array, index: jax.Array
    ) -> jax.Array:
      key = jax.random.fold_in(jax.random.fold_in(root, epoch), index)
      flip_key, color_key = jax.random.split(key)
      if self.flip:
        image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
      x = normalization(image)
      if self.pca_std:
        offset = color.pca_offset(color_key, self.pca_std)
        x += offset / normalization.std
      return x

    images = jax.vmap(augment)(share['images'], share['epochs'], share['ids'])
    return images, share['labels']
