"""A labelled set of images in memory: its checks, splits and fingerprint."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from resnet_jax.data.order import held_out
from resnet_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Split:
  """Images, uint8 [examples, height, width, channels], and their labels,
  integers [examples].
  """

  images: np.ndarray
  labels: np.ndarray

  def __len__(self) -> int:
    return len(self.images)

  def take(self, indices: np.ndarray) -> 'Split':
    return Split(self.images[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True)
class ImageSet:
  """A set with its splits.

  Attributes:
    name: The set's name, for messages.
    class_names: The classes in the order of their labels.
    train: Its training split, without examples where it is only tested on.
    test: Its test split, None if there is none.
    validation: Its validation split, or examples held out of the training set;
      None if there are none.
  """

  name: str
  class_names: tuple[str, ...]
  train: Split
  test: Split | None
  validation: Split | None = None

  @property
  def image_shape(self) -> tuple[int, int, int]:
    height, width, channels = self.train.images.shape[1:]
    return height, width, channels

  def splits(self) -> dict[str, Split]:
    named = {
      'train': self.train,
      'validation': self.validation,
      'test': self.test,
    }
    return {name: split for name, split in named.items() if split}

  def fingerprint(self) -> str:
    """A hash of every pixel and label in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for split in self.splits().values():
      digest.update(np.ascontiguousarray(split.images).data)
      digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()


def check(
  name: str,
  train: Split,
  test: Split,
  class_names: Sequence[str] | None = None,
) -> ImageSet:
  """The set of these splits, after a check of all their arrays.

  Args:
    name: The set's name, for messages.
    train, test: Its splits.
    class_names: The classes in the order of their labels; None names them by
      their labels.

  Raises:
    UserError: an array is of the wrong kind, a split is empty or truncated, a
      label has no class, or a class has no training example; the message names
      the set and the first index that is wrong.
  """
  for split_name, split in (('train', train), ('test', test)):
    _check_arrays(f'{name}, {split_name} split', split)
  if train.images.shape[1:] != test.images.shape[1:]:
    raise UserError(
      f'{name}: training images are {train.images.shape[1:]} and test images '
      f'{test.images.shape[1:]}; all must have one size'
    )
  if train.labels.max() >= len(train):
    index = int(train.labels.argmax())
    raise UserError(
      f'{name}, train split: label {train.labels[index]} of example {index}, '
      f'and there are only {len(train)} examples. Labels must be 0, 1, 2, ... '
      f'without a gap'
    )
  counts = np.bincount(train.labels.astype(np.int64))
  if 0 in counts:
    raise UserError(
      f'{name}, train split: labels go up to {len(counts) - 1} but no example '
      f'has label {int(np.argmin(counts))}. Labels must be 0, 1, 2, ... '
      f'without a gap; are some missing or wrong?'
    )
  if len(counts) < 2:
    raise UserError(f'{name}, train split: every label is 0; nothing to learn')
  if test.labels.max() >= len(counts):
    index = int(np.argmax(test.labels >= len(counts)))
    raise UserError(
      f'{name}, test split: label {test.labels[index]} of example {index} is '
      f'no class of the training set, whose labels end at {len(counts) - 1}'
    )
  if class_names is None:
    class_names = [str(label) for label in range(len(counts))]
  return ImageSet(name, tuple(class_names), train, test)


def hold_out(images: ImageSet, examples: int, seed: int) -> ImageSet:
  """Moves `examples` of the training set to a validation split.

  The paper chooses its schedule on 45k/5k (Sec. 4.2). Which examples are moved
  depends on `seed` alone, and not on the seed of the run.

  Raises:
    UserError: there are fewer training examples, or none would be left.
  """
  if examples == 0:
    return images
  held, kept = held_out(images.name, len(images.train), examples, seed)
  return dataclasses.replace(
    images, train=images.train.take(kept), validation=images.train.take(held)
  )


def _check_arrays(where: str, split: Split) -> None:
  images, labels = split.images, split.labels
  if images.dtype != np.uint8 or images.ndim != 4:
    raise UserError(
      f'{where}: images must be uint8 [examples, height, width, channels]; '
      f'they are {images.dtype} {list(images.shape)}'
    )
  if images.shape[1] <= 4 < images.shape[3]:
    raise UserError(
      f'{where}: images are {list(images.shape)}, which looks like channels '
      f'first; they must be [examples, height, width, channels]: store '
      f'images.transpose(0, 2, 3, 1)'
    )
  if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
    raise UserError(
      f'{where}: labels must be integers [examples]; they are {labels.dtype} '
      f'{list(labels.shape)}'
    )
  if len(images) != len(labels):
    first = min(len(images), len(labels))
    raise UserError(
      f'{where}: {len(images)} images but {len(labels)} labels; example '
      f'{first} has only one of the two. Was the file truncated?'
    )
  if images.size == 0:
    raise UserError(
      f'{where}: there are no images in an array of {list(images.shape)}; both '
      f'splits need at least one'
    )
  if labels.min() < 0:
    index = int(np.argmax(labels < 0))
    raise UserError(
      f'{where}: label {labels[index]} of example {index} is negative; labels '
      f'must be 0, 1, 2, ...'
    )
