"""The pictures of a split that cannot be read, and what stands in for them."""

import logging

import numpy as np

from resnet_jax.data.streamed.records import Records
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

# An example and how it is cut.
_Cut = tuple[int, tuple[bytes, ...]]


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
    self._sound: dict[_Cut, bool] = {}

  def __len__(self) -> int:
    """The number of cuts that failed."""
    return sum(not sound for sound in self._sound.values())

  def among(self, ids: np.ndarray, how: tuple[np.ndarray, ...]) -> np.ndarray:
    """Whether each of `ids`, cut as `how` says, is damaged, bool [n]."""
    found = np.isin(ids, list(self._pictures))
    for place in np.flatnonzero(found).tolist():
      found[place] = not self._is_sound((int(ids[place]), row(how, place)))
    return found

  def untried(self, ids: np.ndarray, how: tuple[np.ndarray, ...]) -> list[int]:
    """Places in `ids` of damaged pictures that were never cut as here."""
    places = np.flatnonzero(np.isin(ids, list(self._pictures))).tolist()
    return [p for p in places if (int(ids[p]), row(how, p)) not in self._sound]

  def replaced(
    self, ids: np.ndarray, how: tuple[np.ndarray, ...]
  ) -> np.ndarray:
    """`ids`, in which each damaged one is replaced by the next sound one."""
    if not self._pictures:
      return ids
    ids = np.array(ids)
    for place in np.flatnonzero(self.among(ids, how)).tolist():
      ids[place] = self.next_sound(int(ids[place]), row(how, place))
    return ids

  def next_sound(self, index: int, cut: tuple[bytes, ...]) -> int:
    """The first from `index` on whose `cut` is not known to be damaged."""
    while not self._is_sound((index, cut)):
      index = (index + 1) % len(self._records)
    return index

  def note_sound(self, index: int, cut: tuple[bytes, ...]) -> None:
    """Notes that this cut of a picture succeeds, where others may not."""
    self._sound[index, cut] = True

  def add(self, index: int, cut: tuple[bytes, ...], reason: str) -> None:
    """Notes a damaged example, and logs its name the first time.

    Args:
      index, cut: The example and how it is cut.
      reason: Why it cannot be read, a clause on the file.

    Raises:
      UserError: there are now more than the limit.
    """
    self._sound[index, cut] = False
    if index in self._pictures:
      return
    self._pictures.add(index)
    name = self._records.name(index)
    _log.warning(
      '%s is left out (%d so far): %s', name, len(self._pictures), reason
    )
    if len(self._pictures) > min(self._limit, len(self._records) - 1):
      raise too_many(
        [self._records.name(i) for i in sorted(self._pictures)],
        len(self._records),
        self._limit,
        reason,
      )

  def _is_sound(self, cut: _Cut) -> bool:
    return self._sound.get(cut, True)


def too_many(
  names: list[str], examples: int, limit: int, reason: str
) -> UserError:
  """The error for more pictures that cannot be read than are tolerated.

  Args:
    names: Their files.
    examples: Pictures of the split.
    limit: How many are tolerated.
    reason: Why the last one cannot be read.
  """
  return UserError(
    f'{len(names)} of {examples} pictures cannot be read, and '
    f'config.dataset.max_damaged is {limit}: {", ".join(names[:5])}'
    f'{", ..." if len(names) > 5 else ""} (of the last: {reason}). Replace or '
    f'remove them, or raise the limit'
  )


def unreadable(name: str, reason: str) -> str:
  """The error for a picture whose bytes the disk does not give.

  Args:
    name: Its file.
    reason: The system's words.
  """
  return (
    f'{name} cannot be read from the disk ({reason}). Mend that, and give the '
    f'same command again'
  )


def row(how: tuple[np.ndarray, ...], place: int) -> tuple[bytes, ...]:
  """The cut of one example, to compare."""
  return tuple(x[place].tobytes() for x in how)
