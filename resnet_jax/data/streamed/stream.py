"""Decodes pictures in the background, in the order that the caller asks for.

A damaged picture is named in the log, and replaced by the next sound one. Which
one that is depends on the data and on how the picture is cut, and not on when
the damage was found, so that a resumed run trains on the same batches.
"""

import atexit
import contextlib
import dataclasses
import os
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from resnet_jax.data.streamed.damaged import Damaged, row, unreadable
from resnet_jax.data.streamed.failures import (
  failures,
  of_disk,
  reason_of,
  system_reason,
)
from resnet_jax.data.streamed.records import Records
from resnet_jax.errors import PassingError, UserError
from resnet_jax.waits import each

# Batches that may be ready ahead of the one that is being used.
_AHEAD = 3
# Examples that are asked for at once: those of a whole run would not fit into
# memory.
_STRETCH = 2**18
# TensorFlow's threads call Pillow for rare pictures, and would hang if they
# outlived the interpreter.
_open_batches: 'weakref.WeakSet[Generator[Any, None, None]]' = weakref.WeakSet()


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
    batches = self._batches(ask, first, last)
    _open_batches.add(batches)
    return batches

  def _batches(
    self, ask: Ask, first: int, last: int | None
  ) -> Generator[Decoded, None, None]:
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
        decoded = each(self._open(asked, load), 'pictures to be read')
        for place, (images, labels) in enumerate(decoded):
          ids, how = asked.ids[place], tuple(x[place] for x in asked.how)
          damaged = self._damaged.among(ids, how)
          yield Decoded(ids, images, labels, damaged)
          number += 1
      except failures() as e:
        self._inspect(ask(np.array([number])), load, e)

  def _open(
    self, asked: Request, load: Callable[..., Any]
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import tensorflow as tf

    batches, size = asked.ids.shape
    how = tuple(x.reshape(batches * size, *x.shape[2:]) for x in asked.how)
    ids = asked.ids.reshape(-1)
    # A picture that was damaged once would stop every epoch again.
    for place in self._damaged.untried(ids, how):
      self._decodes(int(ids[place]), [x[place] for x in how], load)
    ids = self._damaged.replaced(ids, how)
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

  def _inspect(
    self, asked: Request, load: Callable[..., Any], error: Exception
  ) -> None:
    """Finds the damaged pictures of a batch that could not be decoded.

    Raises:
      UserError: each picture can be decoded on its own, or too many cannot.
    """
    known = len(self._damaged)
    how = tuple(x[0] for x in asked.how)
    for place, index in enumerate(asked.ids[0].tolist()):
      while True:
        index = self._damaged.next_sound(index, row(how, place))
        if self._decodes(index, [x[place] for x in how], load):
          break
    if len(self._damaged) == known:
      raise PassingError(
        f'pictures could not be read: {reason_of(error)}; on a second try '
        f'each of them could. Is the disk or network at its limits?'
      ) from error

  def _decodes(
    self, index: int, how: list[np.ndarray], load: Callable[..., Any]
  ) -> bool:
    """Tries one cut of one picture, and notes what came of it."""
    import tensorflow as tf

    cut = tuple(x.tobytes() for x in how)
    keys = [key[0] for key in self._records.keys(np.array([index]))]
    try:
      load(*map(tf.convert_to_tensor, (*keys, *how)))
    except failures() as e:
      self._damaged.add(index, cut, self._why(index, keys, e))
      return False
    self._damaged.note_sound(index, cut)
    return True

  def _why(self, index: int, keys: list[Any], error: Exception) -> str:
    """What is wrong with the contents of a picture that was not decoded.

    Raises:
      UserError: there are no contents. That is no property of the data, and
        with another picture in its place this would be another run.
    """
    import tensorflow as tf

    from resnet_jax.data.streamed import pillow

    try:
      contents, _ = self._records.read(*map(tf.convert_to_tensor, keys))
    except tf.errors.NotFoundError as e:
      raise UserError(
        f'{self._records.name(index)} has gone since it was found at the '
        f'beginning; put it back'
      ) from e
    except of_disk() as e:
      forbidden = isinstance(e, tf.errors.PermissionDeniedError)
      kind = UserError if forbidden else PassingError
      raise kind(unreadable(self._records.name(index), system_reason(e))) from e
    except failures() as e:
      return f'its record is damaged ({reason_of(e)})'
    reason = pillow.explain(contents.numpy())
    return reason or f'TensorFlow cannot decode it ({reason_of(error)})'


@atexit.register
def _close_all() -> None:
  for batches in list(_open_batches):
    with contextlib.suppress(ValueError):  # another thread is inside
      batches.close()
