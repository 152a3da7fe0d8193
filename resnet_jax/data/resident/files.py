"""Reads the pictures of a split into one array, where they are of one size."""

import concurrent.futures
import logging
import os
import pathlib

import numpy as np

from resnet_jax.data.resident.images import Split
from resnet_jax.data.streamed import pillow
from resnet_jax.data.streamed.damaged import too_many, unreadable
from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.errors import PassingError, UserError, may_pass
from resnet_jax.text import plain

_log = logging.getLogger('resnet_jax')

# A set lives on every device, beside the network.
_MOST_BYTES = 4 * 2**30
NO_SET = (
  'and images that are kept on the devices (config.dataset.crop_size=0) must '
  'have one size. To crop pictures of any size while training, take '
  'configs/finetune_folder.py, or a config of ImageNet, whose crops are of 224 '
  'pixels'
)


def read_split(records: FileRecords, *, max_damaged: int) -> Split:
  """The pictures of `records` that can be read, upright and in colour.

  Args:
    records: The files and their labels.
    max_damaged: How many may be left out.

  Raises:
    UserError: they are of several sizes or too large, or more than
      `max_damaged` cannot be read.
  """
  images: np.ndarray | None = None
  kept: list[int] = []
  damaged: list[str] = []
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    pictures = pool.map(_read, records.paths)
    for index, picture in enumerate(pictures):
      name = records.name(index)
      if isinstance(picture, str):
        damaged.append(name)
        _log.warning(
          '%s is left out (%d so far): %s', name, len(damaged), picture
        )
        if len(damaged) > min(max_damaged, len(records) - 1):
          pool.shutdown(wait=False, cancel_futures=True)
          raise too_many(damaged, len(records), max_damaged, picture)
        continue
      if images is None:
        images = _room(len(records), picture, name)
        first = name
      if picture.shape != images.shape[1:]:
        pool.shutdown(wait=False, cancel_futures=True)
        raise UserError(
          f'{first} is {_size(images[0])} (height x width) and {name} '
          f'{_size(picture)}, {NO_SET}'
        )
      images[len(kept)] = picture
      kept.append(index)
  assert images is not None  # not all of them can be left out
  return Split(images[: len(kept)], records.labels[kept])


def _room(count: int, picture: np.ndarray, name: str) -> np.ndarray:
  size = count * picture.nbytes
  if size > _MOST_BYTES:
    raise UserError(
      f'{count:,} pictures like {name}, {_size(picture)}, are '
      f'{size / 2**30:.1f} GiB, and images that are kept on the devices '
      f'(config.dataset.crop_size=0) may be {_MOST_BYTES / 2**30:.0f}; crop '
      f'them while training with --config.dataset.crop_size and a config of '
      f'ImageNet'
    )
  return np.empty((count, *picture.shape), np.uint8)


def _read(path: bytes) -> np.ndarray | str:
  """The picture, or why it is damaged.

  Raises:
    UserError: the disk does not give it.
  """
  name = os.fsdecode(path)
  try:
    contents = pathlib.Path(name).read_bytes()
  except OSError as e:
    kind = PassingError if may_pass(e.errno) else UserError
    raise kind(unreadable(plain(name), e.strerror or str(e))) from e
  try:
    return pillow.upright(contents)
  except Exception:  # Pillow raises some dozen kinds, from many layers
    return pillow.explain(contents) or 'it could be read on a second try only'


def _size(picture: np.ndarray) -> str:
  return 'x'.join(map(str, picture.shape[:2]))
