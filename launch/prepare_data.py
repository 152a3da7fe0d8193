"""Prepares data sets once, and says whether they are whole.

  python launch/prepare_data.py cifar10 [--data_dir=DIR]
  python launch/prepare_data.py imagenet [--data_dir=DIR]
  python launch/prepare_data.py folder DIR
  python launch/prepare_data.py npz FILE

Run it where there is a network, before training: the hosts of a job then find
everything in place, and download nothing. A set of TFDS (any that it knows) is
downloaded and prepared if it is not there, then read and checked; ImageNet's
archives have to be fetched by hand, and it says where to put them. A folder of
train/<class>/* and val/<class>/* or an .npz file is checked. All of it is read
by the code that reads it in training: every picture is decoded, and damaged
ones are named. The exit code is 0 where all is whole, and 2 where it is not.
"""

import argparse
import logging
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ['JAX_PLATFORMS'] = 'cpu'  # the memory of GPUs is for training

from resnet_jax.console import Progress, start_logging
from resnet_jax.data import tfds_sets
from resnet_jax.data.resident import sources as images
from resnet_jax.data.streamed import sources as pictures
from resnet_jax.data.streamed.damaged import Damaged
from resnet_jax.data.streamed.records import FileRecords, Records
from resnet_jax.data.streamed.stream import Request, Stream
from resnet_jax.errors import UserError
from resnet_jax.shell import shell
from resnet_jax.text import plain

_log = logging.getLogger('resnet_jax')

_BATCH = 64
# A decoded picture is looked at no further than to make it of one size.
_SIDE = 8


def run(argv: Sequence[str] | None = None) -> None:
  """The command line.

  Raises:
    SystemExit: with the exit code, see `shell`.
  """
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    'data', help='a set of TFDS, such as cifar10 or imagenet; folder; or npz'
  )
  parser.add_argument('path', nargs='?', help='of the folder or the file')
  parser.add_argument(
    '--data_dir', default='', help="TFDS's; default: ~/tensorflow_datasets"
  )
  given = parser.parse_args(argv)
  by_path = given.data in ('folder', 'npz')
  if by_path != (given.path is not None):
    path = 'a path behind it' if by_path else 'no path: is it folder or npz?'
    parser.error(f'{given.data} needs {path}')
  with shell():
    start_logging()
    if given.data == 'npz':
      _report_images(images.from_npz(given.path))
    elif given.data == 'folder':
      check_pictures(pictures.from_folder(given.path))
    else:
      prepare('imagenet2012' if given.data == 'imagenet' else given.data, given)


def prepare(name: str, given: argparse.Namespace) -> None:
  """Prepares a set of TFDS where it is not, and checks it.

  Raises:
    UserError: it cannot be had, or it is not whole.
  """
  _log.info('%s: preparing it, unless it is prepared ...', name)
  features = tfds_sets.prepare(name, given.data_dir).info.features
  if 'image' not in features or None in features['image'].shape:
    check_pictures(pictures.from_tfds(name, given.data_dir))
  else:
    _report_images(images.from_tfds(name, given.data_dir))


def check_pictures(found: pictures.PictureSet) -> None:
  """Decodes every picture of a set, and names those that are damaged.

  Raises:
    UserError: some are.
  """
  damaged = {}
  for split, records in found.splits.items():
    _log.info('%s: %s', split, _by_class(found, records))
    damaged[split] = _count_damaged(split, records)
  if any(damaged.values()):
    files = all(isinstance(r, FileRecords) for r in found.splits.values())
    mend = 'Fetch them anew or remove them'
    raise UserError(
      f'{found.folder} is not whole: the pictures named above cannot be read '
      f'({_words(damaged)}). '
      f'{mend if files else "Delete that folder, and prepare it anew"}; '
      f'training bears up to config.dataset.max_damaged of them, and tests '
      f'without them'
    )
  sizes = _words({s: len(r) for s, r in found.splits.items()})
  _log.info('%s is whole: %s pictures', found.folder, sizes)


def _count_damaged(split: str, records: Records) -> int:
  # Of the project, the only modules that import TensorFlow with themselves.
  from resnet_jax.data.streamed import decode, windows

  def cut(contents: Any) -> Any:
    window = windows.whole(decode.upright_size(contents))
    return decode.resample(
      contents, window, height=_SIDE, width=_SIDE, antialias=False
    )

  def ask(numbers: np.ndarray) -> Request:
    ids = numbers[:, None] * _BATCH + np.arange(_BATCH)
    return Request(np.minimum(ids, len(records) - 1), ())

  damaged = Damaged(records, limit=len(records))
  stream = Stream(records, cut, damaged)
  batches = -(-len(records) // _BATCH)
  with Progress(f'{split} pictures decoded', len(records)) as progress:
    for _ in stream.batches(ask, 0, batches):
      progress.add(_BATCH)
  return len(damaged)


def _by_class(found: pictures.PictureSet, records: Records) -> str:
  """How many pictures there are, and of each class."""
  text = f'{len(records):,} pictures'
  if not isinstance(records, FileRecords):
    return text
  counts = np.bincount(records.labels, minlength=len(found.class_names))
  least, most = int(counts.argmin()), int(counts.argmax())
  names = found.class_names
  return (
    f'{text} in {len(names):,} classes, {counts[least]:,} '
    f'({plain(names[least])}) to {counts[most]:,} ({plain(names[most])}) each'
  )


def _report_images(found: images.ImageSet) -> None:
  sizes = _words({s: len(x) for s, x in found.splits().items()})
  _log.info(
    '%s is whole: %s images of %s in %s classes; hash of all pixels and '
    'labels: %s',
    found.name,
    sizes,
    'x'.join(map(str, found.image_shape)),
    f'{len(found.class_names):,}',
    found.fingerprint(),
  )


def _words(numbers: Mapping[str, int]) -> str:
  return ', '.join(f'{n:,} {split}' for split, n in numbers.items())


if __name__ == '__main__':
  run()
