"""A small set of images of one size, on the devices or in the host's memory."""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from resnet_jax.data.feed import Feed, MakeBatch, Part
from resnet_jax.data.normalization import IMAGENET_MEAN, Normalization
from resnet_jax.data.order import Order, OrderFeed, examples_at
from resnet_jax.data.resident.batch import (
  Chosen,
  Examples,
  augmented,
  train_batch,
)
from resnet_jax.data.resident.images import ImageSet
from resnet_jax.data.views import Views
from resnet_jax.errors import UserError
from resnet_jax.placement import AUGMENT, replicas, replicate, shard


class ResidentData:
  """An `ImageSet` as `feed.Data`, which documents its methods."""

  def __init__(self, images: ImageSet) -> None:
    self._images = images
    self.name = images.name
    self.class_names = images.class_names
    self.image_shape = images.image_shape
    self.sizes = {name: len(split) for name, split in images.splits().items()}
    self.fingerprint = images.fingerprint()

  def normalization(self, config: ml_collections.ConfigDict) -> Normalization:
    kind, channels = config.dataset.mean, self.image_shape[-1]
    if kind == 'imagenet':
      if channels != 3:
        raise UserError(
          f"config.dataset.mean 'imagenet' is of 3 channels, and {self.name} "
          f"has {channels}; use 'pixel' or 'channel'"
        )
      return Normalization.by(IMAGENET_MEAN)
    axes = 0 if kind == 'pixel' else (0, 1, 2)
    return Normalization.by(self._images.train.images.mean(axes, np.float64))

  def feed(self, config: ml_collections.ConfigDict) -> Feed:
    pad, (height, width, _) = config.augment.pad, self.image_shape
    if pad >= min(height, width):
      raise UserError(
        f'config.augment.pad is {pad}; images are {height}x{width}, and crops '
        f'that miss them show nothing: it can be 0 to {min(height, width) - 1}'
      )
    train = self._images.train
    examples = Examples(train.images, train.labels.astype(np.int32))
    kind: type[ResidentFeed] | type[HostFeed] = ResidentFeed
    if config.run.data_on_host:
      kind = HostFeed
    else:
      check_fits(self.name, train.images.nbytes)
    return kind(
      examples,
      seed=config.seed,
      batch_size=config.batch_size,
      pad=pad,
      flip=config.augment.flip,
    )

  def parts(self, split: str, views: Views, batch_size: int) -> Iterator[Part]:
    if views.name != 'single':
      raise UserError(
        f'config.test.views is {views.name!r}, which is for pictures of many '
        f"sizes; an image of {self.name} has one view, 'single'"
      )
    data = self._images.splits()[split]
    share = batch_size // jax.process_count()
    size = np.tile(np.array(self.image_shape[:2], np.int32), (share, 1))
    for start in range(0, len(data), batch_size):
      first = start + jax.process_index() * share
      ids = np.arange(first, first + share)
      index = np.minimum(ids, len(data) - 1)
      yield Part(
        images=data.images[index][:, None],
        sizes=size,
        labels=data.labels[index].astype(np.int32),
        ids=np.where(ids < len(data), ids, -1),
      )


class ResidentFeed:
  """Batches of examples that are on every device, by their order.

  Args:
    examples: The training split, on the host.
    seed: Seed of the run.
    batch_size: Examples of a step over all hosts and devices.
    pad, flip: Augmentation, see `train_batch`.
  """

  def __init__(
    self,
    examples: Examples,
    *,
    seed: int,
    batch_size: int,
    pad: int,
    flip: bool,
  ) -> None:
    self._examples = replicate(examples)
    self._order = OrderFeed(
      seed=seed,
      examples=len(examples.labels),
      batch_size=batch_size,
      put=replicate,
    )
    self._replicas = replicas()
    self.make_batch: MakeBatch = functools.partial(
      _make_batch,
      seed=seed,
      batch_size=batch_size,
      share=batch_size // jax.device_count(),
      pad=pad,
      flip=flip,
    )

  def at(self, step: int) -> tuple[tuple[Examples, Order], jax.Array]:
    return (self._examples, self._order.at(step)), self._replicas


class HostFeed:
  """Batches of examples that stay in the memory of the host.

  They are those of a `ResidentFeed`, whose arguments it takes, bit by bit.
  """

  def __init__(
    self,
    examples: Examples,
    *,
    seed: int,
    batch_size: int,
    pad: int,
    flip: bool,
  ) -> None:
    self._examples = examples
    self._seed = seed
    self._batch_size = batch_size
    self.make_batch: MakeBatch = functools.partial(
      _augment_batch, seed=seed, pad=pad, flip=flip
    )

  def at(self, step: int) -> tuple[tuple[()], Chosen]:
    share = self._batch_size // jax.process_count()
    first = step * self._batch_size + jax.process_index() * share
    images, labels = self._examples.images, self._examples.labels
    ids, epochs = examples_at(self._seed, first + np.arange(share), len(labels))
    return (), shard(Chosen(images[ids], labels[ids], epochs, ids))


def check_fits(name: str, size: int) -> None:
  """Refuses images that do not fit on each device.

  Args:
    name: The set's name.
    size: Bytes of its training images.

  Raises:
    UserError: with the bytes that are needed and free.
  """
  # A CPU says nothing: its memory is the host's, where the images are already.
  memory = jax.local_devices()[0].memory_stats() or {}
  free = memory.get('bytes_limit', math.inf) - memory.get('bytes_in_use', 0)
  if size > free:
    raise UserError(
      f'the training images of {name} take {size / 1e9:,.1f} GB on each '
      f'device, and {free / 1e9:,.1f} GB are free there; '
      f'--config.run.data_on_host=True keeps them in the memory of the host, '
      f'with the same result'
    )


def _augment_batch(
  step: jax.Array,
  common: tuple[()],
  share: Chosen,
  normalization: Normalization,
  *,
  seed: int,
  pad: int,
  flip: bool,
) -> tuple[jax.Array, jax.Array]:
  """`feed.MakeBatch`: the host has chosen the examples."""
  del step, common
  return augmented(share, normalization, key=_key(seed), pad=pad, flip=flip)


def _key(seed: int) -> jax.Array:
  return jax.random.fold_in(jax.random.key(seed), AUGMENT)


def _make_batch(
  step: jax.Array,
  common: tuple[Examples, Order],
  replica: jax.Array,
  normalization: Normalization,
  *,
  seed: int,
  batch_size: int,
  share: int,
  pad: int,
  flip: bool,
) -> tuple[jax.Array, jax.Array]:
  """`feed.MakeBatch`: a device's number says which examples are its own."""
  examples, order = common
  first = step * batch_size + replica * share
  return train_batch(
    examples,
    order,
    normalization,
    first + jnp.arange(share, dtype=np.int32),
    key=_key(seed),
    pad=pad,
    flip=flip,
  )
