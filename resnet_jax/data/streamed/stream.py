"""Decodes pictures in the background, in the order that the caller asks for.

A damaged picture is named in the log, and replaced by the next sound one. Which
one that is depends on the data and on how the picture is cut, and not on when
the damage was found, so that a resumed run trains on the same batches.
"""

import dataclasses
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from resnet_jax.data.streamed.records import Records
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

# Batches that may be ready ahead of the one that is being used.
_AHEAD = 3
# Examples that are asked for at once. Those of a whole run would not fit into
# memory; and a Python function that TensorFlow calls for more would run in its
# threads, which hang if they outlive the interpreter.
_STRETCH = 2**18


@dataclasses.dataclass(frozen=True)
class Request:
  """Batches to be decoded.

  Attributes:
    ids: Numbers of the examples, int [batches, n].
    how: Arrays of [batches, n, ...], whose entries are the arguments of `cut`
      behind the contents.
  """

  ids: np.ndarray
  how: tuple[np.ndarray, ...]


# Numbers of batches -> the request of these batches.
Ask = Callable[[np.ndarray], Request]


@dataclasses.dataclass(frozen=True)
class Decoded:
  """A batch.

  Attributes:
    ids: The examples that were asked for, int [n].
    images: The results of `cut`, stacked: an array, or a tuple of arrays.
    labels: int32 [n].
    damaged: bool [n]: the image and the label are those of another example,
      because this one is damaged.
  """

  ids: np.ndarray
  images: Any
  labels: np.ndarray
  damaged: np.ndarray


class Damaged:
  """The pictures of a split that are known to be damaged.

  The missing end of a picture may lie below one crop and within another, so
  that a damaged example is known by its number and by how it is cut.

  Args:
    records: The split.
    limit: Damaged pictures that are tolerated.
  """

  def __init__(self, records: Records, *, limit: int) -> None:
    self._records = records
    self._limit = limit
    self._pictures: set[int] = set()
    self._cuts: set[tuple[int, tuple[bytes, ...]]] = set()

  def __len__(self) -> int:
    """The number of cuts that failed."""
    return len(self._cuts)

  def among(self, ids: np.ndarray, how: tuple[np.ndarray, ...]) -> np.ndarray:
    """Whether each of `ids`, cut as `how` says, is damaged, bool [n]."""
    found = np.isin(ids, list(self._pictures))
    for place in np.flatnonzero(found).tolist():
      found[place] = (int(ids[place]), _row(how, place)) in self._cuts
    return found

  def replaced(
    self, ids: np.ndarray, how: tuple[np.ndarray, ...]
  ) -> np.ndarray:
    """`ids`, in which each damaged one is replaced by the next sound one."""
    if not self._pictures:
      return ids
    ids = np.array(ids)
    for place in np.flatnonzero(self.among(ids, how)).tolist():
      ids[place] = self.next_sound(int(ids[place]), _row(how, place))
    return ids

  def next_sound(self, index: int, cut: tuple[bytes, ...]) -> int:
    """The first from `index` on whose `cut` is not known to be damaged."""
    while (index, cut) in self._cuts:
      index = (index + 1) % len(self._records)
    return index

  def add(self, index: int, cut: tuple[bytes, ...], error: Exception) -> None:
    """Notes a damaged example, and logs its name the first time.

    Raises:
      UserError: there are now more than the limit.
    """
    self._cuts.add((index, cut))
    if index in self._pictures:
      return
    self._pictures.add(index)
    _log.warning(
      '%s is damaged and left out (%d so far): %s',
      self._records.name(index),
      len(self._pictures),
      _reason(error),
    )
    if len(self._pictures) > min(self._limit, len(self._records) - 1):
      names = [self._records.name(i) for i in sorted(self._pictures)]
      raise UserError(
        f'{len(names)} of {len(self._records)} pictures are damaged, and '
        f'config.dataset.max_damaged is {self._limit}: {", ".join(names[:5])}'
        f'{", ..." if len(names) > 5 else ""}. Replace or remove them, or '
        f'raise the limit'
      )


class Stream:
  """Pictures of a split, cut to size.

  Args:
    records: The split.
    cut: (contents, *how) -> the image; TensorFlow operations for one example.
    damaged: Pictures known to be damaged; those found later are added.
  """

  def __init__(
    self, records: Records, cut: Callable[..., Any], damaged: Damaged
  ) -> None:
    self._records = records
    self._cut = cut
    self._damaged = damaged

  def batches(
    self, ask: Ask, first: int, last: int | None
  ) -> Iterator[Decoded]:
    """The batches that `ask` requests, from number `first` to before `last`.

    Args:
      ask: Called with the numbers of the batches that are decoded next.
      first: Number of the first batch.
      last: Number behind the last batch; None goes on for ever.

    Raises:
      UserError: too many pictures are damaged.
    """
    import tensorflow as tf

    tf.config.set_visible_devices([], 'GPU')  # whose memory is JAX's
    load = tf.function(self._load)  # traced once
    # At most 64 epochs of a small set: each is a permutation to be drawn.
    stretch = min(_STRETCH, 64 * len(self._records))
    number = first
    while last is None or number < last:
      size = ask(np.array([number])).ids.size
      end = number + max(1, stretch // size)
      asked = ask(np.arange(number, end if last is None else min(end, last)))
      try:
        for place, (images, labels) in enumerate(self._open(asked, load)):
          ids, how = asked.ids[place], tuple(x[place] for x in asked.how)
          damaged = self._damaged.among(ids, how)
          yield Decoded(ids, images, labels, damaged)
          number += 1
      except tf.errors.OpError as e:
        self._inspect(ask(np.array([number])), e)

  def _open(
    self, asked: Request, load: Callable[..., Any]
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import tensorflow as tf

    batches, size = asked.ids.shape
    how = tuple(x.reshape(batches * size, *x.shape[2:]) for x in asked.how)
    ids = self._damaged.replaced(asked.ids.reshape(-1), how)
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = os.cpu_count()
    data = tf.data.Dataset.from_tensor_slices((*self._records.keys(ids), *how))
    data = data.map(load, num_parallel_calls=os.cpu_count())
    data = data.batch(size, drop_remainder=True).prefetch(_AHEAD)
    return data.with_options(options).as_numpy_iterator()

  def _load(self, *keys_and_how: Any) -> tuple[Any, Any]:
    count = len(self._records.keys(np.array([0])))
    contents, label = self._records.read(*keys_and_how[:count])
    return self._cut(contents, *keys_and_how[count:]), label

  def _inspect(self, asked: Request, error: Exception) -> None:
    """Finds the damaged pictures of a batch that could not be decoded.

    Raises:
      UserError: each picture can be decoded on its own, or too many cannot.
    """
    known = len(self._damaged)
    how = tuple(x[0] for x in asked.how)
    for place, index in enumerate(asked.ids[0].tolist()):
      cut = _row(how, place)
      while True:
        index = self._damaged.next_sound(index, cut)
        if self._decodes(index, [x[place] for x in how], cut):
          break
    if len(self._damaged) == known:
      raise UserError(
        f'pictures could not be read: {_reason(error)}; on a second try '
        f'each of them could. Is the disk or network at its limits?'
      ) from error

  def _decodes(
    self, index: int, how: list[np.ndarray], cut: tuple[bytes, ...]
  ) -> bool:
    import tensorflow as tf

    keys = [key[0] for key in self._records.keys(np.array([index]))]
    try:
      self._load(*map(tf.convert_to_tensor, (*keys, *how)))
    except tf.errors.OpError as e:
      self._damaged.add(index, cut, e)
      return False
    return True


def _row(how: tuple[np.ndarray, ...], place: int) -> tuple[bytes, ...]:
  return tuple(x[place].tobytes() for x in how)


def _reason(error: Exception) -> str:
  """TensorFlow's message, without the places in its graph."""
  text = re.sub(r'\{\{.*?\}\}|\[.*?\]+| name: *$', '', str(error))
  lines = [line.strip(' .') for line in text.splitlines()]
  noise = ('Graph execution error', 'Detected at', '<stack')
  return next((x for x in lines if x and not x.startswith(noise)), 'unknown')
