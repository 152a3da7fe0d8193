"""A kind of file that is damaged: a good example, and how it is read."""

import contextlib
import dataclasses
import logging
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of file.

  Attributes:
    example: A good file, or the good folder that the files are in.
    names: Names in that folder of the files that are damaged; '' of a file.
    read: Copies of the example -> what each holds, or the exception.
    judge: What was read -> its outcome, see `damage`, and why.
  """

  example: pathlib.Path
  names: Sequence[str]
  read: Callable[[Sequence[pathlib.Path]], Sequence[Any]]
  judge: Callable[[Any], tuple[str, str]]


def of_file(
  example: pathlib.Path,
  read: Callable[[pathlib.Path], Any],
  *,
  checked: bool,
) -> Kind:
  """Files that are read one by one.

  Args:
    example: A good one.
    read: Reads one.
    checked: Whether the format notices a change of its content.
  """
  right = read(example)

  def judge(found: Any) -> tuple[str, str]:
    if equal(found, right):
      return 'same', ''
    return 'lie' if checked else 'other', 'other content'

  return Kind(example, [''], one_by_one(read), judge)


def one_by_one(
  read: Callable[[pathlib.Path], Any],
) -> Callable[[Sequence[pathlib.Path]], list[Any]]:
  """Reads each of several on its own."""

  def read_all(paths: Sequence[pathlib.Path]) -> list[Any]:
    found = []
    for path in paths:
      try:
        found.append(read(path))
      except Exception as e:
        found.append(e)
    return found

  return read_all


def equal(found: Any, right: Any) -> bool:
  if isinstance(right, dict) and isinstance(found, dict):
    return found.keys() == right.keys() and all(
      equal(found[key], right[key]) for key in right
    )
  if isinstance(right, np.ndarray):
    return found.dtype == right.dtype and np.array_equal(found, right)
  return bool(found == right)


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
  """The lines that our log is given in the block, and no terminal."""
  lines: list[str] = []
  handler = logging.Handler()
  handler.emit = lambda record: lines.append(record.getMessage())
  logger = logging.getLogger('resnet_jax')
  before = logger.propagate
  logger.addHandler(handler)
  logger.propagate = False
  try:
    yield lines
  finally:
    logger.removeHandler(handler)
    logger.propagate = before
