"""Scores by example, and the exact counts that an evaluation makes of them.

An ensemble (Table 5) is the average of the scores of several networks.
"""

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from resnet_jax import text


@dataclasses.dataclass(frozen=True)
class Scores:
  """The scores of one split on this host.

  Attributes:
    logs: The log of the probabilities, averaged over views, float32 [examples,
      classes].
    labels: int32 [examples]; -1 where the example is another host's, or
      damaged.
  """

  logs: np.ndarray
  labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Result:
  """The counts of one evaluation, by class; int64 [classes] unless said.

  Attributes:
    examples: Examples of the class.
    wrong: Those whose largest score is another class's.
    wrong_top5: Those for which five classes score higher than their own.
    losses: Sum of minus the log of the score, in nats, float64 [classes].
    damaged: Examples that could not be read, and count nowhere else.
  """

  examples: np.ndarray
  wrong: np.ndarray
  wrong_top5: np.ndarray
  losses: np.ndarray
  damaged: int

  @property
  def count(self) -> int:
    """Examples of all classes."""
    return int(self.examples.sum())

  @property
  def error(self) -> float:
    """Top-1 error, a fraction."""
    return int(self.wrong.sum()) / self.count

  @property
  def error_top5(self) -> float:
    """Top-5 error, a fraction."""
    return int(self.wrong_top5.sum()) / self.count

  @property
  def loss(self) -> float:
    """Mean cross-entropy, nats."""
    return float(self.losses.sum()) / self.count

  def __str__(self) -> str:
    wrong, of = int(self.wrong.sum()), f'of {self.count:,}'
    words = [f'error {100 * self.error:.2f} % ({wrong:,} {of})']
    if len(self.examples) > 5:
      wrong = int(self.wrong_top5.sum())
      words += [f'top-5 {100 * self.error_top5:.2f} % ({wrong:,})']
    words += [f'loss {self.loss:.4f}']
    if self.damaged:
      words += [f'{self.damaged} damaged and not counted']
    return ', '.join(words)

  def to_json(self) -> dict[str, Any]:
    """Counts and means over all classes."""
    return {
      'examples': self.count,
      'wrong': int(self.wrong.sum()),
      'error': self.error,
      'wrong_top5': int(self.wrong_top5.sum()),
      'error_top5': self.error_top5,
      'loss': self.loss,
      'damaged': self.damaged,
    }

  def write_csv(self, path: pathlib.Path, class_names: Sequence[str]) -> None:
    """Writes a line for each class: counts and errors, in %.

    The file is whole or as it was.

    Raises:
      OSError: it cannot be written.
    """
    with text.replacing(path) as file:
      table = csv.writer(file)
      table.writerow(
        ['class', 'name', 'examples', 'wrong', 'error', 'top5_error', 'loss']
      )
      for label, name in enumerate(class_names):
        count = int(self.examples[label])
        means = [''] * 3
        if count:
          means = [
            f'{100 * self.wrong[label] / count:.4f}',
            f'{100 * self.wrong_top5[label] / count:.4f}',
            f'{self.losses[label] / count:.6f}',
          ]
        wrong = int(self.wrong[label])
        table.writerow([label, text.cell(name), count, wrong, *means])


def average(members: Sequence[Scores]) -> Scores:
  """The ensemble of `members`: the mean of their probabilities."""
  logs, labels = members[0].logs, members[0].labels
  for member in members[1:]:
    logs = np.logaddexp(logs, member.logs)
    labels = np.where(member.labels < 0, -1, labels)
  return Scores(logs - np.float32(np.log(len(members))), labels)


def tally(scores: Scores) -> Result:
  """Counts right and wrong, over all hosts.

  Where scores are equal, the first class wins.
  """
  own = scores.labels >= 0
  logs, labels = scores.logs[own], scores.labels[own]
  rows = np.arange(len(labels))
  right = logs[rows, labels][:, None]
  columns = np.arange(logs.shape[1])
  # Counted from below, so that a score that is not a number is never right.
  behind = (logs < right) | ((logs == right) & (columns >= labels[:, None]))
  rank = logs.shape[1] - behind.sum(1)

  def by_class(values: np.ndarray) -> np.ndarray:
    return np.bincount(labels, values, minlength=logs.shape[1])

  table = np.stack(
    [
      by_class(np.ones(len(labels))),
      by_class(rank >= 1),
      by_class(rank >= 5),
      by_class(-right[:, 0].astype(np.float64)),
    ]
  )
  if jax.process_count() > 1:
    # The bytes are gathered, for JAX would make float32 of float64.
    gathered = multihost_utils.process_allgather(table.view(np.uint8))
    table = np.asarray(gathered).view(np.float64).sum(0)
  examples, wrong, wrong_top5 = table[:3].astype(np.int64)
  return Result(
    examples,
    wrong,
    wrong_top5,
    table[3],
    damaged=len(scores.labels) - int(examples.sum()),
  )
