"""The input of pictures, and a bare loop that only decodes and resizes.

The bare loop is tf.data, which reads a file, decodes a window that was drawn
beforehand, and resizes it. Ours also draws the window from the seed of the
example, keeps the order of the run, and looks for EXIF orientations and for
damage. Rates are images per second of CPU time over all threads, from which
follows how many cores a GPU needs.
"""

import dataclasses
import os
import pathlib
import resource
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.cases import ROOT
from benchmarks.rounds import Unavailable, Work

_BATCH = 32
_DRAWN = 20_000
_WARM_UP = 10
_WRITTEN = 80
# Height and width of the pictures that are written.
_SHAPE = (375, 500)


@dataclasses.dataclass(frozen=True)
class Pictures:
  """A folder of pictures, and whether they are smoothed when scaled down."""

  folder: str
  antialias: bool


def ours(pictures: Pictures) -> tuple[Work, dict[str, Any]]:
  """The training batches of configs/imagenet_resnet50.py, on the host."""
  from resnet_jax.config.file import load_config
  from resnet_jax.data.streamed.feed import StreamedFeed
  from resnet_jax.data.streamed.records import FileRecords

  config = load_config(str(ROOT / 'configs' / 'imagenet_resnet50.py'))
  config.batch_size = _BATCH
  config.dataset.antialias = pictures.antialias
  files = _files(pictures.folder)
  records = FileRecords.of(files, [0] * len(files))
  feed = StreamedFeed(records, config, host=0, hosts=1)
  steps = iter(range(10**9))
  return _by_cpu_time(lambda: feed.host_batch(next(steps)))


def bare(pictures: Pictures) -> tuple[Work, dict[str, Any]]:
  """Batches of windows that were drawn beforehand, as in Sec. 3.4."""
  import tensorflow as tf
  from PIL import Image

  files = _files(pictures.folder)
  sizes = []
  for file in files:
    with Image.open(file) as picture:
      sizes.append((picture.height, picture.width))
  rng = np.random.default_rng(0)
  picks = rng.integers(len(files), size=_DRAWN)
  size = np.array(sizes)[picks]
  side = 224 * size.min(1) / rng.integers(256, 481, _DRAWN)
  corner = rng.uniform(0, 1, (_DRAWN, 2)) * (size - side[:, None])
  windows = np.column_stack([corner, side, side]).astype(np.int32)

  def load(path: Any, window: Any) -> Any:
    picture = tf.image.decode_and_crop_jpeg(
      tf.io.read_file(path), window, channels=3
    )
    resized = tf.image.resize(picture, (224, 224), antialias=pictures.antialias)
    return tf.cast(resized + 0.5, tf.uint8)

  paths = np.array(files)[picks]
  data = tf.data.Dataset.from_tensor_slices((paths, windows)).repeat()
  data = data.map(load, num_parallel_calls=os.cpu_count(), deterministic=True)
  iterator = iter(data.batch(_BATCH).prefetch(3).as_numpy_iterator())
  return _by_cpu_time(lambda: next(iterator))


def write_pictures(folder: pathlib.Path) -> pathlib.Path:
  """Writes JPEGs of ImageNet's usual size: parts of two photographs.

  Raises:
    Unavailable: scikit-learn or Pillow, which has and writes them, is missing.
  """
  try:
    from PIL import Image
    from sklearn import datasets
  except ImportError as e:
    raise Unavailable(f'{e.name} is not installed') from e
  folder.mkdir(parents=True, exist_ok=True)
  photographs = datasets.load_sample_images().images
  for i, part in enumerate(_parts(photographs, _WRITTEN)):
    Image.fromarray(part).save(folder / f'{i}.jpg', quality=95)
  return folder


def _parts(photographs: list[np.ndarray], count: int) -> Iterator[np.ndarray]:
  rng = np.random.default_rng(0)
  height, width = _SHAPE
  for i in range(count):
    photograph = photographs[i % len(photographs)]
    top = rng.integers(photograph.shape[0] - height)
    left = rng.integers(photograph.shape[1] - width)
    yield photograph[top : top + height, left : left + width]


def _files(folder: str) -> list[str]:
  from resnet_jax.data.streamed.pillow import SUFFIXES

  found = pathlib.Path(folder).rglob('*')
  files = sorted(str(f) for f in found if f.suffix.lower() in SUFFIXES)
  if not files:
    raise Unavailable(f'there are no pictures in {folder}')
  return files


def _by_cpu_time(
  next_batch: Callable[[], Any],
) -> tuple[Work, dict[str, Any]]:
  """A subject whose seconds are those of all its threads.

  They count from one round to the next, since threads that read ahead go on
  while the other side has its turn.
  """
  for _ in range(_WARM_UP):
    next_batch()
  counted = _cpu_seconds()

  def work(repeats: int) -> tuple[float, float]:
    nonlocal counted
    for _ in range(repeats):
      next_batch()
    before, counted = counted, _cpu_seconds()
    return float(repeats * _BATCH), counted - before

  return work, {}


def _cpu_seconds() -> float:
  usage = resource.getrusage(resource.RUSAGE_SELF)
  return usage.ru_utime + usage.ru_stime
