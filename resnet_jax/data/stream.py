"""Decodes pictures in the background, in an order that is asked for.

A damaged picture is named in the log and, from then on, replaced by the next
sound one. Which one that is hangs on the data alone, so that a resumed run
trains on the same batches.
"""

import dataclasses
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from resnet_jax.data.pictures import Records
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
      _reason(error),
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
    self, ask: Ask, first: int, last: int | None
  ) -> Iterator[Decoded]:
    """The batches that `ask` says, from number `first` to before `last`.

    Raises:
      UserError: too many pictures are damaged.
    """
    import tensorflow as tf

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
          ids = asked.ids[place]
          yield Decoded(ids, images, labels, self._damaged.among(ids))
          number += 1
      except tf.errors.OpError as e:
        self._inspect(ask(np.array([number])), e)

  def _open(
    self, asked: Request, load: Callable[..., Any]
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import tensorflow as tf

    batches, size = asked.ids.shape
    ids = self._damaged.replaced(asked.ids.reshape(-1))
    how = (x.reshape(batches * size, *x.shape[2:]) for x in asked.how)
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
    for place, index in enumerate(asked.ids[0].tolist()):
      how = [x[0, place] for x in asked.how]
      while not self._decodes(index := self._damaged.next_sound(index), how):
        pass
    if len(self._damaged) == known:
      raise UserError(
        f'pictures could not be read: {_reason(error)}; on a second try '
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


def _reason(error: Exception) -> str:
  """What TensorFlow says is wrong, without where in its graph."""
  text = re.sub(r'\{\{.*?\}\}|\[.*?\]+| name: *$', '', str(error))
  lines = [line.strip(' .') for line in text.splitlines()]
  noise = ('Graph execution error', 'Detected at', '<stack')
  return next((x for x in lines if x and not x.startswith(noise)), 'unknown')
