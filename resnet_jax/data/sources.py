"""Reads a whole set of small images: from TFDS, or from an .npz file.

TensorFlow is imported only where TFDS is used, and never sees a GPU.
"""

import contextlib
import io
import pathlib
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_jax.data import arrays
from resnet_jax.errors import UserError, did_you_mean

if TYPE_CHECKING:
  import ml_collections

# Where the originals are, for those whose machine cannot download.
_ARCHIVES = {
  'cifar10': 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
  'cifar100': 'https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz',
}
# Examples of each split, so that a truncated copy is not taken for the set.
_SIZES = {
  'cifar10': {'train': 50_000, 'test': 10_000},
  'cifar100': {'train': 50_000, 'test': 10_000},
  'digits': {'train': 1_500, 'test': 297},
}
_NPZ_KEYS = ('train_images', 'train_labels', 'test_images', 'test_labels')


def load(config: 'ml_collections.ConfigDict') -> arrays.ImageSet:
  """The set that `config.dataset` names, checked and split.

  Raises:
    UserError: there is no such set, it cannot be had here, or it is damaged.
  """
  if config.npz:
    images = from_npz(config.npz)
  else:
    images = from_tfds(config.name, config.data_dir)
  return arrays.hold_out(
    images, config.validation_examples, config.validation_seed
  )


def from_npz(path: str) -> arrays.ImageSet:
  """A set from an .npz file; needs neither TensorFlow nor TFDS.

  Its arrays: `train_images` and `test_images`, uint8 [examples, height, width,
  channels]; `train_labels` and `test_labels`, integers [examples].

  Raises:
    UserError: there is no such file, or it does not hold such arrays.
  """
  file = pathlib.Path(path).expanduser()
  if not file.is_file():
    raise UserError(
      f'config.dataset.npz: there is no file {file}. It should be an .npz '
      f'with the arrays {", ".join(_NPZ_KEYS)}'
    )
  try:
    with np.load(file, allow_pickle=False) as content:
      missing = [key for key in _NPZ_KEYS if key not in content]
      if missing:
        raise UserError(
          f'{file} lacks {", ".join(missing)}; it holds '
          f'{", ".join(content) or "nothing"}'
        )
      values = [content[key] for key in _NPZ_KEYS]
  except (ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
    raise UserError(
      f'{file} is damaged or no .npz file ({_first_line(e)}); make it anew'
    ) from e
  return _checked(str(file), *values)


def from_tfds(name: str, data_dir: str) -> arrays.ImageSet:
  """A TFDS set of small images of one size, or the embedded `digits`.

  Args:
    name: a TFDS name such as 'cifar10'.
    data_dir: where TFDS keeps its data; '' is ~/tensorflow_datasets.

  Raises:
    UserError: TFDS is not installed, knows no such set, or cannot download it.
  """
  try:
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader
  except ImportError as e:
    raise UserError(
      f'reading {name!r} needs tensorflow and tensorflow_datasets, and '
      f'importing them failed ({_first_line(e)}). Install requirements.txt, or '
      f'train from arrays: --config.dataset.npz=FILE.npz'
    ) from e
  tf.config.set_visible_devices([], 'GPU')
  # Its own 10, with growing pauses, take over three minutes to find that there
  # is no network.
  downloader.MAX_RETRIES = 3
  if name == 'digits':
    from resnet_jax.data import digits  # noqa: F401 - registers the builder
  directory = pathlib.Path(data_dir).expanduser() if data_dir else None
  try:
    builder = tfds.builder(name, data_dir=directory)
  except tfds.core.registered.DatasetNotFoundError as e:
    raise UserError(
      f'config.dataset.name: TFDS knows no {name!r}'
      f'{did_you_mean(name, tfds.list_builders())}. Train on one that it '
      f'knows, or from arrays: --config.dataset.npz=FILE.npz'
    ) from e
  try:
    _prepare(tfds, builder)
    train, test = (_read(tfds, builder, split) for split in ('train', 'test'))
  except UserError:
    raise
  except Exception as e:  # TFDS raises some dozen kinds, from many layers
    raise UserError(_cannot_prepare(builder, e)) from e
  return _checked(name, *train, *test)


def _prepare(tfds: Any, builder: Any) -> None:
  if builder.name != 'digits':
    builder.download_and_prepare()
    return
  # A second's work without a download, and TFDS would announce a download.
  tfds.display_progress_bar(False)
  with contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare()
  tfds.display_progress_bar(True)


def _read(tfds: Any, builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
  if split not in builder.info.splits:
    raise UserError(
      f'{builder.name} has no split {split!r}, only '
      f'{", ".join(builder.info.splits)}; give its arrays as '
      f'--config.dataset.npz=FILE.npz'
    )
  data = builder.as_dataset(
    split, batch_size=-1, as_supervised=True, shuffle_files=False
  )
  return tfds.as_numpy(data)


def _checked(
  name: str,
  train_images: np.ndarray,
  train_labels: np.ndarray,
  test_images: np.ndarray,
  test_labels: np.ndarray,
) -> arrays.ImageSet:
  images = arrays.check(
    name,
    arrays.Split(train_images, train_labels),
    arrays.Split(test_images, test_labels),
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


def _cannot_prepare(builder: Any, error: Exception) -> str:
  name, folder = builder.name, builder.data_dir
  manual = pathlib.Path(builder._data_dir_root, 'downloads', 'manual')
  archive = _ARCHIVES.get(name)
  if archive is None:
    by_hand = f'Prepare it with TFDS in {folder}, or delete it if it is damaged'
  else:
    by_hand = (
      f'Fetch {archive} elsewhere, put it in {manual}/ and run this again; '
      f'if {folder} is there, it is damaged: delete it'
    )
  return (
    f'{name} is not prepared in {folder}, and preparing it failed: '
    f'{_first_line(error)}.\n'
    f'{by_hand}.\n'
    f'Without any download: --config=configs/digits_resnet20.py, or arrays of '
    f'your own with --config.dataset.npz=FILE.npz.'
  )


def _first_line(error: Exception) -> str:
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0].rstrip('.')[:200]
