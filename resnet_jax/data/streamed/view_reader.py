"""The views of pictures that tests look at, cut out on the host.

Whole pictures have many sizes, and a network is compiled for each size of its
input. So they are padded to few sizes (`_bucket`), and `models.dense` masks the
padding.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from resnet_jax.data.feed import Part
from resnet_jax.data.streamed.damaged import Damaged
from resnet_jax.data.streamed.records import Records
from resnet_jax.data.streamed.stream import Request, Stream
from resnet_jax.data.views import Views


class ViewReader:
  """Reads the views of a split.

  Args:
    records: The split.
    antialias: See configs/common.py.
    max_damaged: Damaged pictures that are tolerated.
    host, hosts: The number of this host, and how many there are.
  """

  def __init__(
    self,
    records: Records,
    *,
    antialias: bool,
    max_damaged: int,
    host: int,
    hosts: int,
  ) -> None:
    self._records = records
    self._antialias = antialias
    self._damaged = Damaged(records, limit=max_damaged)
    self._host = host
    self._hosts = hosts
    self._known_sizes: np.ndarray | None = None

  def parts(self, views: Views, batch_size: int) -> Iterator[Part]:
    """Every picture once for each of `views.shorter_sides`.

    Args:
      views: The views of each picture.
      batch_size: Crops of `views.crop` at a time, over all hosts and devices.

    Raises:
      UserError: too many pictures are damaged.
    """
    for side in views.shorter_sides:
      if views.name == 'dense':
        yield from self._whole(side, views.crop, batch_size)
      else:
        yield from self._crops(side, views, batch_size)

  def _crops(self, side: int, views: Views, batch_size: int) -> Iterator[Part]:
    def cut(contents: Any) -> Any:
      if views.name == 'ten_crop':
        return _five_crops(contents, side, views.crop, self._antialias)
      return _centre_crop(contents, side, views.crop, self._antialias)

    everything = np.arange(len(self._records))
    devices = self._hosts * jax.local_device_count()
    # Five crops and their mirror images are ten.
    share = batch_size // (10 if views.name == 'ten_crop' else 1) // devices
    batch_size = max(share, 1) * devices
    for images, labels, ids in self._batches(everything, batch_size, cut, ()):
      size = np.full((len(ids), 2), views.crop, np.int32)
      shape = (len(ids), views.crops, views.crop, views.crop, 3)
      yield Part(images.reshape(shape), size, labels, ids)

  def _whole(self, side: int, crop: int, batch_size: int) -> Iterator[Part]:
    sizes = resized(self._sizes(), side)
    padded = np.stack([_bucket(sizes[:, axis], side) for axis in (0, 1)], 1)
    devices = self._hosts * jax.local_device_count()

    def cut(contents: Any, size: Any, padded: Any) -> Any:
      return _padded(contents, size, padded, self._antialias)

    for shape in np.unique(padded, axis=0):
      alike = np.flatnonzero((padded == shape).all(1))
      # A batch has no more pixels than `batch_size` crops.
      share = int(batch_size * crop**2 / np.prod(shape) / devices)
      how = (sizes, padded)
      for images, labels, ids in self._batches(
        alike, max(share, 1) * devices, cut, how
      ):
        yield Part(images[:, None], sizes[ids], labels, ids)

  def _sizes(self) -> np.ndarray:
    """Height and width of every picture, int32 [examples, 2].

    Every host reads the headers of all pictures: which pictures share a batch
    depends on their sizes, and has to be the same on all hosts.
    """
    if self._known_sizes is None:
      from resnet_jax.data.streamed import decode

      stream = self._stream(decode.upright_size)
      count = len(self._records)
      batch = min(256, count)
      sizes = np.ones((count, 2), np.int32)

      def ask(numbers: np.ndarray) -> Request:
        ids = numbers[:, None] * batch + np.arange(batch)
        return Request(np.minimum(ids, count - 1), ())

      for part in stream.batches(ask, 0, -(-count // batch)):
        sizes[part.ids] = np.stack(part.images, 1)
      self._known_sizes = sizes
    return self._known_sizes

  def _batches(
    self,
    ids: np.ndarray,
    batch_size: int,
    cut: Any,
    how: tuple[np.ndarray, ...],
  ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """This host's images, labels and ids of each batch of `ids`.

    An example always goes to the same host, where its scores add up, and every
    host has the same number of batches. Padding repeats an example; its id is
    -1, as is that of a damaged picture.

    Args:
      ids: The examples, int [n].
      batch_size: Examples of a batch, over all hosts.
      cut: Cuts one example, see `Stream`.
      how: Arrays of [all examples, ...], the further arguments of `cut`.
    """
    share = batch_size // self._hosts
    by_host = [ids[ids % self._hosts == host] for host in range(self._hosts)]
    mine = by_host[self._host]
    last = -(-max(map(len, by_host)) // share)

    def ask(numbers: np.ndarray) -> Request:
      places = numbers[:, None] * share + np.arange(share)
      # A host that has none of these pictures repeats another's.
      padded = np.append(mine, ids[:1])
      index = padded[np.minimum(places, len(mine))]
      return Request(index, tuple(x[index] for x in how))

    stream = self._stream(cut)
    for number, batch in enumerate(stream.batches(ask, 0, last)):
      real = number * share + np.arange(share) < len(mine)
      yield (
        batch.images,
        batch.labels,
        np.where(real & ~batch.damaged, batch.ids, -1),
      )

  def _stream(self, cut: Any) -> Stream:
    return Stream(self._records, cut, self._damaged)


def resized(sizes: np.ndarray, shorter_side: int) -> np.ndarray:
  """`sizes`, scaled to a shorter side of `shorter_side`, int32 [n, 2]."""
  scale = shorter_side / sizes.min(1, keepdims=True)
  return np.floor(sizes * scale + 0.5).astype(np.int32)


def _bucket(lengths: np.ndarray, side: int) -> np.ndarray:
  """`lengths`, rounded up to multiples of half the shorter side."""
  step = side // 2
  return np.where(lengths == side, side, -(-lengths // step) * step)


def _centre_crop(contents: Any, side: int, crop: int, antialias: bool) -> Any:
  from resnet_jax.data.streamed import decode, windows

  size = decode.upright_size(contents)
  return decode.resample(
    contents,
    windows.centre_window(size, shorter_side=side, crop=crop),
    height=crop,
    width=crop,
    antialias=antialias,
  )


def _five_crops(contents: Any, side: int, crop: int, antialias: bool) -> Any:
  """The crops at the corners and the centre, uint8 [5, crop, crop, 3]."""
  import tensorflow as tf

  from resnet_jax.data.streamed import decode, windows

  size = decode.upright_size(contents)
  height, width = windows.resized(size, side)
  image = decode.resample(
    contents,
    windows.whole(size),
    height=height,
    width=width,
    antialias=antialias,
  )
  bottom, right = height - crop, width - crop
  corners = [
    (0, 0),
    (0, right),
    (bottom, 0),
    (bottom, right),
    (bottom // 2, right // 2),
  ]
  return tf.stack(
    [image[top : top + crop, left : left + crop] for top, left in corners]
  )


def _padded(contents: Any, size: Any, padded: Any, antialias: bool) -> Any:
  """The whole picture, resized to `size` and padded right and below."""
  import tensorflow as tf

  from resnet_jax.data.streamed import decode, windows

  image = decode.resample(
    contents,
    windows.whole(decode.upright_size(contents)),
    height=size[0],
    width=size[1],
    antialias=antialias,
  )
  margins = padded - size
  return tf.pad(image, ((0, margins[0]), (0, margins[1]), (0, 0)))
