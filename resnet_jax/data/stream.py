"""Decodes pictures in the background, in an order that is asked for.

A damaged picture is named in the log and, from then on, replaced by the next
sound one. Which one that is hangs on the data alone, so that a resumed run
trains on the same batches.
"""

import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from resnet_jax.data.pictures import Records
from resnet_jax.errors import UserError, first_line

_log = logging.getLogger('resnet_jax')

# Batches that may be ready ahead of the one that is being used.
_AHEAD = 3


@dataclasses.dataclass(frozen=True)
class Request:
  """A batch to be decoded.

  Attributes:
    ids: of the examples, int [n].
    how: arrays of [n, ...], passed to `cut` with the contents.
  """

  ids: np.ndarray
  how: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Decoded:
  """A batch: `images` as `cut` returns them, `labels` int32, of `ids`.

  `damaged` says which of them stand in for a damaged one.
  """

  ids: np.ndarray
  images: np.ndarray
  labels: np.ndarray
  damaged: np.ndarray


class Damaged:
  """The examples of a split that are known to be damaged.

  Args:
    records: of the split.
    limit: how many are put up with.
  """

  def __init__(self, records: Records, *, limit: int) -> None:
    self._records = records
    self._limit = limit
    self._found = set()

  def __len__(self) -> int:
    return len(self._found)

  def __contains__(self, index: int) -> bool:
    return index in self._found

  def among(self, ids: np.ndarray) -> np.ndarray:
    """Which of `ids` are damaged, bool."""
    return np.isin(ids, list(self._found))

  def replaced(self, ids: np.ndarray) -> np.ndarray:
    """`ids`, with the next that is sound for each that is damaged."""
    if not self._found:
      return ids
    ids = np.array(ids)
    for place in np.flatnonzero(self.among(ids)):
      ids[place] = self.next_sound(int(ids[place]))
    return ids

  def next_sound(self, index: int) -> int:
    """The first from `index` on that is not known to be damaged."""
    while index in self._found:
      index = (index + 1) % len(self._records)
    return index

  def add(self, index: int, error: Exception) -> None:
    """Notes and names a damaged example.

    Raises:
      UserError: by now there are more than the limit.
    """
    self._found.add(index)
    _log.warning(
      '%s is damaged and left out (%d so far): %s',
      self._records.name(index),
      len(self._found),
      first_line(error),
    )
    if len(self._found) > min(self._limit, len(self._records) - 1):
      names = [self._records.name(i) for i in sorted(self._found)]
      raise UserError(
        f'{len(names)} of {len(self._records)} pictures are damaged, and '
        f'config.dataset.max_damaged is {self._limit}: {", ".join(names[:5])}'
        f'{", ..." if len(names) > 5 else ""}. Replace or remove them, or '
        f'raise the limit'
      )


class Stream:
  """Pictures of a split, cut to size.

  Args:
    records: of the split.
    cut: (contents, *how) -> the image, TensorFlow ops for one example.
    damaged: what is known of the split, and becomes known.
  """

  def __init__(
    self, records: Records, cut: Callable[..., Any], damaged: Damaged
  ) -> None:
    self._records = records
    self._cut = cut
    self._damaged = damaged

  def batches(
    self, request: Callable[[int], Request], first: int, last: int | None
  ) -> Iterator[Decoded]:
    """The batches that `request` says, from number `first` to before `last`.

    Raises:
      UserError: too many pictures are damaged.
    """
    import tensorflow as tf

    number = first
    while last is None or number < last:
      try:
        for images, labels in self._open(request, number, last):
          ids = request(number).ids
          yield Decoded(ids, images, labels, self._damaged.among(ids))
          number += 1
      except tf.errors.OpError as e:
        self._inspect(request(number), e)

  def _open(
    self, request: Callable[[int], Request], first: int, last: int | None
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import tensorflow as tf

    def keys(number: int) -> tuple[Any, ...]:
      batch = request(number)
      ids = self._damaged.replaced(batch.ids)
      return (*self._records.keys(ids), *batch.how)

    def generate() -> Iterator[tuple[Any, ...]]:
      for number in itertools.count(first):
        if number == last:
          return
        yield keys(number)

    sample = keys(first)
    strings = [x.dtype == object for x in sample]
    signature = tuple(
      tf.TensorSpec((None, *x.shape[1:]), tf.string if s else x.dtype)
      for x, s in zip(sample, strings, strict=True)
    )
    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = os.cpu_count()
    data = data.unbatch().map(self._load, num_parallel_calls=os.cpu_count())
    data = data.batch(len(sample[0]), drop_remainder=True)
    return data.prefetch(_AHEAD).with_options(options).as_numpy_iterator()

  def _load(self, *keys_and_how: Any) -> tuple[Any, Any]:
    count = len(self._records.keys(np.array([0])))
    contents, label = self._records.read(*keys_and_how[:count])
    return self._cut(contents, *keys_and_how[count:]), label

  def _inspect(self, batch: Request, error: Exception) -> None:
    """Finds what is damaged in a batch that could not be decoded.

    Raises:
      UserError: nothing is, on its own; or by now too much is.
    """
    known = len(self._damaged)
    for place, index in enumerate(batch.ids.tolist()):
      how = [x[place] for x in batch.how]
      while not self._decodes(index := self._damaged.next_sound(index), how):
        pass
    if len(self._damaged) == known:
      raise UserError(
        f'pictures could not be read: {first_line(error)}; on a second try '
        f'each of them could. Is the disk or network at its limits?'
      ) from error

  def _decodes(self, index: int, how: list[np.ndarray]) -> bool:
    import tensorflow as tf

    keys = [key[0] for key in self._records.keys(np.array([index]))]
    try:
      self._load(*map(tf.convert_to_tensor, (*keys, *how)))
    except tf.errors.OpError as e:
      self._damaged.add(index, e)
      return False
    return True
