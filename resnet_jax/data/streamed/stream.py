"""Decodes pictures in the background, in an order that is asked for.

A damaged picture is named in the log, and replaced by the next sound one. Which
one that is hangs on the data and on how the picture is cut, and not on when the
damage was found, so that a resumed run trains on the same batches.
"""

import dataclasses
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from resnet_jax.data.streamed.sources import Records
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

# Batches that may be ready ahead of the one that is being used.
_AHEAD = 3
# Examples that are asked for at once. All of an endless run would not fit; and
# a Python function that is asked for more would run in threads of TensorFlow,
# which hang if they outlive the interpreter.
_STRETCH = 2**18


@dataclasses.dataclass(frozen=True)
class Request:
  """Batches to be decoded.

  Attributes:
    ids: of the examples, int [batches, n].
    how: arrays of [batches, n, ...], passed to `cut` with the contents.
  """

  ids: np.ndarray
  how: tuple[np.ndarray, ...]


# Of the batches of these numbers.
Ask = Callable[[np.ndarray], Request]


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
  """What of a split is known to be damaged.

  A picture may be cut short below one crop and within another, so that damage
  is of a picture and of how it is cut.

  Args:
    records: of the split.
    limit: how many pictures are put up with.
  """

  def __init__(self, records: Records, *, limit: int) -> None:
    self._records = records
    self._limit = limit
    self._pictures = set()
    self._cuts = set()

  def __len__(self) -> int:
    """How many cuts failed."""
    return len(self._cuts)

  def among(self, ids: np.ndarray, how: tuple[np.ndarray, ...]) -> np.ndarray:
    """Which of `ids`, cut as `how` says, are damaged, bool [n]."""
    found = np.isin(ids, list(self._pictures))
    for place in np.flatnonzero(found):
      found[place] = (int(ids[place]), _row(how, place)) in self._cuts
    return found

  def replaced(
    self, ids: np.ndarray, how: tuple[np.ndarray, ...]
  ) -> np.ndarray:
    """`ids`, with the next that is sound for each that is damaged."""
    if not self._pictures:
      return ids
    ids = np.array(ids)
    for place in np.flatnonzero(self.among(ids, how)):
      ids[place] = self.next_sound(int(ids[place]), _row(how, place))
    return ids

  def next_sound(self, index: int, cut: tuple[bytes, ...]) -> int:
    """The first from `index` on whose `cut` is not known to be damaged."""
    while (index, cut) in self._cuts:
      index = (index + 1) % len(self._records)
    return index

  def add(self, index: int, cut: tuple[bytes, ...], error: Exception) -> None:
    """Notes a damaged example, and names it the first time.

    Raises:
      UserError: by now there are more than the limit.
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
    self, ask: Ask, first: int, last: int | None
  ) -> Iterator[Decoded]:
    """The batches that `ask` says, from number `first` to before `last`.

    Raises:
      UserError: too many pictures are damaged.
    """
    import tensorflow as tf

    tf.config.set_visible_devices([], 'GPU')  # whose memory is JAX's
    load = tf.function(self._load)  # traced once
    # Of a small set, 64 epochs: each is a permutation that has to be drawn.
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
    """Finds what is damaged in a batch that could not be decoded.

    Raises:
      UserError: nothing is, on its own; or by now too much is.
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
  """What TensorFlow says is wrong, without where in its graph."""
  text = re.sub(r'\{\{.*?\}\}|\[.*?\]+| name: *$', '', str(error))
  lines = [line.strip(' .') for line in text.splitlines()]
  noise = ('Graph execution error', 'Detected at', '<stack')
  return next((x for x in lines if x and not x.startswith(noise)), 'unknown')
