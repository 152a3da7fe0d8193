"""The examples of a split of pictures, which are read when they are needed."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from resnet_jax.text import plain


class Records(Protocol):
  """The examples of a split, in an order that never changes."""

  def __len__(self) -> int: ...

  def take(self, ids: np.ndarray) -> 'Records':
    """The examples `ids` alone, in their order."""
    ...

  def name(self, index: int) -> str:
    """Where example `index` is, for messages."""
    ...

  def keys(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arguments of `read`: arrays with an entry for each of `ids`."""
    ...

  def read(self, *key: Any) -> tuple[Any, Any]:
    """The file's contents, a string, and the label, int32, of one example.

    Args:
      *key: Its entries of `keys`. TensorFlow operations.
    """
    ...


@dataclasses.dataclass(frozen=True)
class FileRecords:
  """`Records` that are files, one for each picture.

  Attributes:
    paths: Their paths, bytes.
    labels: int32.
  """

  paths: np.ndarray
  labels: np.ndarray

  def __len__(self) -> int:
    return len(self.paths)

  def take(self, ids: np.ndarray) -> 'FileRecords':
    return FileRecords(self.paths[ids], self.labels[ids])

  def name(self, index: int) -> str:
    return plain(os.fsdecode(self.paths[index]))

  def keys(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
    return self.paths[ids], self.labels[ids]

  def read(self, path: Any, label: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    return tf.io.read_file(path), label

  @classmethod
  def of(cls, paths: Sequence[str], labels: Sequence[int]) -> 'FileRecords':
    """The files `paths` with their labels, in their order."""
    encoded = np.array([os.fsencode(path) for path in paths], object)
    return cls(encoded, np.array(labels, np.int32))
