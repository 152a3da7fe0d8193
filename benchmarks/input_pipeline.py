"""Measures the cost of the input over a bare loop that decodes and resizes.

  python -m benchmarks.input_pipeline
  python -m benchmarks.input_pipeline --folder=DIR/train --antialias

Both run in turn, in one process and on the same pictures. The bare loop is
tf.data, which reads a file, decodes a window that was drawn beforehand, and
resizes it. Ours also draws the window from the seed of the example, keeps the
order of the run, and looks for EXIF orientations and for damage. The result is
images per second of CPU time over all threads, from which follows how many
cores a GPU needs.

Without --folder the pictures are parts, of 500x375 pixels, of scikit-learn's
photographs.
"""

import argparse
import os
import pathlib
import resource
import statistics
import tempfile
from collections.abc import Callable, Iterator

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn import datasets

from resnet_jax.config.file import load_config
from resnet_jax.data.streamed.feed import StreamedFeed
from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.data.streamed.sources import SUFFIXES

ROOT = pathlib.Path(__file__).parent.parent
_BATCH = 32
_DRAWN = 20_000


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--folder', type=pathlib.Path, help='folder of JPEGs')
  parser.add_argument(
    '--images', type=int, default=960, help='pictures in a round'
  )
  parser.add_argument('--rounds', type=int, default=7)
  parser.add_argument('--antialias', action='store_true')
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as scratch:
    folder = arguments.folder or make_pictures(pathlib.Path(scratch))
    files = sorted(
      str(f) for f in folder.rglob('*') if f.suffix.lower() in SUFFIXES
    )
    if not files:
      raise SystemExit(f'error: there are no pictures in {folder}')
    print(f'{len(files)} pictures of {folder}, {os.cpu_count()} cores')
    compare(files, arguments)


def compare(files: list[str], arguments: argparse.Namespace) -> None:
  loops = {
    'bare': bare(files, antialias=arguments.antialias),
    'ours': ours(files, antialias=arguments.antialias),
  }
  batches = arguments.images // _BATCH
  rates = {name: [] for name in loops}
  for loop in loops.values():  # threads and caches are warm then
    measure(loop, batches)
  for _ in range(arguments.rounds):
    for name, loop in loops.items():
      rates[name].append(measure(loop, batches))
  medians = {name: statistics.median(r) for name, r in rates.items()}
  for name, rate in medians.items():
    rounds = ' '.join(f'{r:.0f}' for r in rates[name])
    print(f'{name:5} {rate:7.0f} images per CPU second   rounds: {rounds}')
  ratios = [b / o for b, o in zip(rates['bare'], rates['ours'], strict=True)]
  cost = 100 * (statistics.median(ratios) - 1)
  print(f'ours costs {cost:.1f} % over the bare loop (median of the rounds)')


def bare(files: list[str], *, antialias: bool) -> Callable[[], None]:
  """Makes batches of windows that were drawn beforehand, as in Sec. 3.4."""
  rng = np.random.default_rng(0)
  sizes = []
  for file in files:
    with Image.open(file) as picture:
      sizes.append((picture.height, picture.width))
  picks = rng.integers(len(files), size=_DRAWN)
  size = np.array(sizes)[picks]
  side = 224 * size.min(1) / rng.integers(256, 481, _DRAWN)
  corner = rng.uniform(0, 1, (_DRAWN, 2)) * (size - side[:, None])
  windows = np.column_stack([corner, side, side]).astype(np.int32)

  def load(path: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    picture = tf.image.decode_and_crop_jpeg(
      tf.io.read_file(path), window, channels=3
    )
    resized = tf.image.resize(picture, (224, 224), antialias=antialias)
    return tf.cast(resized + 0.5, tf.uint8)

  paths = np.array(files)[picks]
  data = tf.data.Dataset.from_tensor_slices((paths, windows)).repeat()
  data = data.map(load, num_parallel_calls=os.cpu_count(), deterministic=True)
  iterator = iter(data.batch(_BATCH).prefetch(3).as_numpy_iterator())
  return lambda: next(iterator)


def ours(files: list[str], *, antialias: bool) -> Callable[[], None]:
  """Makes the training batches of configs/imagenet_resnet50.py."""
  path = ROOT / 'configs' / 'imagenet_resnet50.py'
  config = load_config(str(path))
  config.batch_size = _BATCH
  config.dataset.antialias = antialias
  records = FileRecords.of(files, [0] * len(files))
  feed = StreamedFeed(records, config, host=0, hosts=1)
  steps = iter(range(10**9))
  return lambda: feed.host_batch(next(steps))


def measure(loop: Callable[[], None], batches: int) -> float:
  """Images per second of CPU time."""
  start = cpu_seconds()
  for _ in range(batches):
    loop()
  return batches * _BATCH / (cpu_seconds() - start)


def cpu_seconds() -> float:
  usage = resource.getrusage(resource.RUSAGE_SELF)
  return usage.ru_utime + usage.ru_stime


def make_pictures(folder: pathlib.Path) -> pathlib.Path:
  """Writes 80 JPEGs of 500x375 pixels."""
  photographs = datasets.load_sample_images().images
  for i, part in enumerate(parts(photographs, 80)):
    Image.fromarray(part).save(folder / f'{i}.jpg', quality=95)
  return folder


def parts(photographs: list[np.ndarray], count: int) -> Iterator[np.ndarray]:
  rng = np.random.default_rng(0)
  for i in range(count):
    photograph = photographs[i % len(photographs)]
    top = rng.integers(photograph.shape[0] - 375)
    left = rng.integers(photograph.shape[1] - 500)
    yield photograph[top : top + 375, left : left + 500]


if __name__ == '__main__':
  main()
