"""Reads a whole set of small images: from TFDS, an .npz file, or a folder.

TensorFlow is imported only where TFDS is used, and never sees a GPU.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from resnet_jax.data import tfds_sets
from resnet_jax.data.arrays import read_npz
from resnet_jax.data.resident.files import NO_SET, read_split
from resnet_jax.data.resident.images import ImageSet, Split, check, hold_out
from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.data.streamed.sources import PictureSet, load_pictures
from resnet_jax.errors import UserError

# Examples of each split, to tell a truncated copy from the whole set.
_SIZES = {
  'cifar10': {'train': 50_000, 'test': 10_000},
  'cifar100': {'train': 50_000, 'test': 10_000},
  'digits': {'train': 1_500, 'test': 297},
}
_NPZ_KEYS = ('train_images', 'train_labels', 'test_images', 'test_labels')


def load_images(
  config: ml_collections.ConfigDict, classes: Sequence[str] | None = None
) -> ImageSet:
  """The set that `config.dataset` names, checked and split.

  Args:
    config: `config.dataset` of the run.
    classes: See `data.load.load`.

  Raises:
    UserError: there is no such set, it cannot be had here, or it is damaged.
  """
  if config.folder:
    return from_pictures(
      load_pictures(config, classes), max_damaged=config.max_damaged
    )
  if config.npz:
    images = from_npz(config.npz)
  else:
    images = from_tfds(config.name, config.data_dir)
  return hold_out(images, config.validation_examples, config.validation_seed)


def from_pictures(pictures: PictureSet, *, max_damaged: int) -> ImageSet:
  """A set of pictures of one size, in colour, from a folder.

  Pictures that cannot be read are left out, each with a line in the log.

  Args:
    pictures: The set, its examples in files.
    max_damaged: Pictures of a split that may be left out.

  Raises:
    UserError: the pictures are of several sizes or too many for the memory of
      a device, or more than `max_damaged` cannot be read.
  """
  splits = {
    name: read_split(records, max_damaged=max_damaged)
    for name, records in pictures.splits.items()
    if isinstance(records, FileRecords)
  }
  shapes = {name: split.images.shape[1:] for name, split in splits.items()}
  if len(set(shapes.values())) > 1:
    sizes = ', '.join(f'{n} {h}x{w}' for n, (h, w, _) in shapes.items())
    raise UserError(
      f'{pictures.name}: the splits are of several sizes (height x width: '
      f'{sizes}), {NO_SET}'
    )
  (shape,) = set(shapes.values())
  none = Split(np.zeros((0, *shape), np.uint8), np.zeros(0, np.int32))
  return ImageSet(
    pictures.name,
    pictures.class_names,
    train=splits.get('train', none),
    test=splits.get('test'),
    validation=splits.get('validation'),
  )


def from_npz(path: str) -> ImageSet:
  """A set from an .npz file; needs neither TensorFlow nor TFDS.

  The file holds `train_images` and `test_images`, uint8 [examples, height,
  width, channels], and `train_labels` and `test_labels`, integers [examples].

  Raises:
    UserError: there is no such file, or it does not hold such arrays.
  """
  file = pathlib.Path(path).expanduser()
  if not file.is_file():
    raise UserError(
      f'config.dataset.npz: there is no file {file}. It should be an .npz '
      f'with the arrays {", ".join(_NPZ_KEYS)}'
    )
  train_images, train_labels, test_images, test_labels = read_npz(
    file, _NPZ_KEYS, kinds=('u', 'iu', 'u', 'iu'), mend='make it anew'
  )
  return _checked(
    str(file), train_images, train_labels, test_images, test_labels
  )


def from_tfds(name: str, data_dir: str) -> ImageSet:
  """A TFDS set of small images of one size, or the embedded `digits`.

  Args:
    name: A TFDS name such as 'cifar10'.
    data_dir: Folder where TFDS keeps its data; '' is ~/tensorflow_datasets.

  Raises:
    UserError: TFDS is not installed, knows no such set, or cannot download it.
  """
  builder = tfds_sets.prepare(name, data_dir)
  try:
    train, test = (_read(builder, split) for split in ('train', 'test'))
  except UserError:
    raise
  except Exception as e:  # TFDS raises some dozen kinds, from many layers
    raise tfds_sets.unusable(builder, e) from e
  names = _class_names(builder)
  return _checked(name, *train, *test, class_names=names)


def _read(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
  if split not in builder.info.splits:
    raise UserError(
      f'{builder.name} has no split {split!r}, only '
      f'{", ".join(builder.info.splits)}; give its arrays as '
      f'--config.dataset.npz=FILE.npz'
    )
  data = builder.as_dataset(
    split, batch_size=-1, as_supervised=True, shuffle_files=False
  )
  images, labels = data
  return images.numpy(), labels.numpy()


def _class_names(builder: Any) -> list[str] | None:
  _, label = builder.info.supervised_keys
  return getattr(builder.info.features[label], 'names', None)


def _checked(
  name: str,
  train_images: np.ndarray,
  train_labels: np.ndarray,
  test_images: np.ndarray,
  test_labels: np.ndarray,
  class_names: list[str] | None = None,
) -> ImageSet:
  images = check(
    name,
    Split(train_images, train_labels),
    Split(test_images, test_labels),
    class_names,
  )
  for split, size in _SIZES.get(name, {}).items():
    found = len(images.splits()[split])
    if found != size:
      raise UserError(
        f'{name}, {split} split: {found} examples where the set has {size}; '
        f'example {min(found, size)} is the first that is missing or too '
        f'many. Delete this copy and prepare it anew'
      )
  return images
