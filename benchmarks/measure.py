"""Rates of repeated rounds: median, spread, and ratios that are clear."""

import dataclasses
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Rates:
  """One number a round.

  Attributes:
    rounds: The numbers, in the order in which they were measured.
  """

  rounds: tuple[float, ...]

  @property
  def median(self) -> float:
    return statistics.median(self.rounds)

  @property
  def spread(self) -> float:
    """Half of the distance between the least and the greatest round."""
    return (max(self.rounds) - min(self.rounds)) / 2


@dataclasses.dataclass(frozen=True)
class Ratio:
  """How many times faster one side is, from rounds that were interleaved.

  Attributes:
    rounds: The ratio of each round: both sides ran under the same conditions.
  """

  rounds: Rates

  @property
  def clear(self) -> bool:
    """Whether the two sides differ by more than the rounds do."""
    difference = abs(self.rounds.median - 1)
    return len(self.rounds.rounds) > 1 and difference > self.rounds.spread


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
  """The ratio of two sides, round by round.

  Raises:
    ValueError: they have not the same number of rounds.
  """
  pairs = zip(ours, theirs, strict=True)
  return Ratio(Rates(tuple(a / b for a, b in pairs)))
