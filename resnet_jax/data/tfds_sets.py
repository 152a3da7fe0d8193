"""Sets that TFDS knows, prepared on this machine.

A prepared set is data and runs no code of its own: of the classes that its
files name, only those that TFDS itself has registered are made.

TensorFlow is imported only here and in `data/streamed`, and never sees a GPU.
"""

import contextlib
import io
import pathlib
from typing import Any

from resnet_jax.errors import UserError, did_you_mean, first_line

# Where to get the originals on a machine that can download.
_ARCHIVES = {
  'cifar10': 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
  'cifar100': 'https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz',
  'imagenet2012': 'ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar of '
  'https://image-net.org',
}
# Sets whose code is known here; a checkpoint may name these without a word of
# the user.
KNOWN = ('digits', *_ARCHIVES)


def prepare(name: str, data_dir: str) -> Any:
  """The TFDS builder of `name`, its data on disk.

  Args:
    name: A TFDS name such as 'cifar10', or the embedded 'digits'.
    data_dir: Folder where TFDS keeps its data; '' is ~/tensorflow_datasets.

  Raises:
    UserError: TFDS is not installed, knows no such set, or cannot download it;
      or the set's files name a class that is not TFDS's own.
  """
  try:
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader
  except ImportError as e:
    raise UserError(
      f'reading {name!r} needs tensorflow and tensorflow_datasets, and '
      f'importing them failed ({first_line(e)}). Install requirements.txt, or '
      f'train from arrays: --config.dataset.npz=FILE.npz'
    ) from e
  tf.config.set_visible_devices([], 'GPU')
  # The ten tries that TFDS makes, with growing pauses, take over three minutes
  # to find that there is no network.
  downloader.MAX_RETRIES = 3
  _refuse_foreign_classes(tfds)
  if name == 'digits':
    from resnet_jax.data import digits  # noqa: F401 - registers its builder
  directory = pathlib.Path(data_dir).expanduser() if data_dir else None
  try:
    builder = tfds.builder(name, data_dir=directory)
  except tfds.core.registered.DatasetNotFoundError as e:
    raise UserError(
      f'config.dataset.name: TFDS knows no {name!r}'
      f'{did_you_mean(name, tfds.list_builders())}. Train on one that it '
      f'knows, or from arrays: --config.dataset.npz=FILE.npz'
    ) from e
  except UserError:
    raise
  except Exception as e:  # damaged files of a set raise any of a dozen kinds
    raise UserError(
      f'config.dataset.name: {name!r} cannot be opened in '
      f'{directory or "the folder of TFDS"}: {first_line(e)}. Delete that set '
      f'there, and prepare it anew'
    ) from e
  try:
    _download(tfds, builder)
  except UserError:
    raise
  except Exception as e:  # TFDS raises some dozen kinds, from many layers
    raise unusable(builder, e) from e
  _check_file_format(builder)
  return builder


def unusable(builder: Any, error: Exception) -> UserError:
  """The error for a set that could not be prepared, or not be read."""
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
  return UserError(
    f'{name} is not prepared in {folder}, and preparing it failed: '
    f'{first_line(error)}.\n'
    f'{by_hand}.\n'
    f'Without any download: --config=configs/digits_resnet20.py, or data of '
    f'your own with --config.dataset.npz=FILE.npz or, for pictures, '
    f'--config.dataset.folder=DIR.'
  )


def _refuse_foreign_classes(tfds: Any) -> None:
  """Keeps TFDS from importing what a set's `features.json` names.

  TFDS imports the module of any class named there, so that a folder of data
  could run code that lies in the current folder or anywhere on the path. Its
  own classes of sound and video import further packages, by name, to decode.
  """
  connector = tfds.features.FeatureConnector
  registered = connector._registered_features

  def cls_from_name(cls: Any, python_class_name: str) -> Any:
    own = python_class_name.startswith('tensorflow_datasets.')
    still = not any(x in python_class_name for x in ('audio', 'video'))
    if not (own and still and python_class_name in registered):
      raise UserError(
        f'the features.json of this set names the class '
        f'{python_class_name!r}, which is none of TFDS for pictures: making it '
        f'could run code, so the set was not read. Give its pictures as '
        f'--config.dataset.folder=DIR, or its arrays as '
        f'--config.dataset.npz=FILE.npz'
      )
    return registered[python_class_name]

  connector.cls_from_name = classmethod(cls_from_name)


def _check_file_format(builder: Any) -> None:
  """Refuses formats for which TFDS imports a package that may be anyone's."""
  name = builder.info.file_format.value
  if name != 'tfrecord':
    raise UserError(
      f'{builder.name} in {builder.data_dir} has files of the format {name!r}, '
      f'and only TFRecords (tfrecord, the default of TFDS) are read; prepare '
      f'it anew'
    )


def _download(tfds: Any, builder: Any) -> None:
  if builder.name != 'digits':
    builder.download_and_prepare()
    return
  # TFDS would announce a download, where there is none.
  tfds.display_progress_bar(False)
  with contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare()
  tfds.display_progress_bar(True)
