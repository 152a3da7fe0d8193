"""Classifies pictures with a trained or imported network.

python -m resnet_jax.predict --checkpoint=SERIES/STEP cat.jpg photos/ '*.png'
python -m resnet_jax.predict --checkpoint=SERIES/STEP --output=out.csv photos/
"""

import argparse
import csv
import dataclasses
import glob
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any, TextIO

# TensorFlow reads this when it is imported, to decode the pictures.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import jax
import numpy as np

from resnet_jax import paths
from resnet_jax.console import start_logging
from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.data.streamed.sources import SUFFIXES
from resnet_jax.data.streamed.view_reader import ViewReader
from resnet_jax.data.views import NAMES, Views
from resnet_jax.errors import UserError
from resnet_jax.evaluate import score
from resnet_jax.models import dense
from resnet_jax.placement import replicate
from resnet_jax.runs import restore
from resnet_jax.shell import shell
from resnet_jax.step import make_score_step
from resnet_jax.weights import read_checkpoint


@dataclasses.dataclass(frozen=True)
class Prediction:
  """The classes that a network sees on a picture, the likeliest first."""

  file: str
  labels: list[int]
  names: list[str]
  probabilities: list[float]


class Predictor:
  """Classifies pictures with the network of a checkpoint.

  Args:
    path: The checkpoint, SERIES/STEP, of a run or imported, or a file of
      weights.
    views: 'single', 'ten_crop' or 'dense', see `data.views.NAMES`.
    batch_size: Pictures at a time; rounded up to a multiple of the devices.

  Raises:
    UserError: there is no such checkpoint, or its network is not for pictures
      in colour, or not for these views.
  """

  def __init__(
    self, path: pathlib.Path, *, views: str = 'single', batch_size: int = 32
  ) -> None:
    found = read_checkpoint(path)
    restored = restore.restore(found)
    crop, _, channels = restored.image_shape
    if channels != 3:
      raise UserError(
        f'{path} is of images with {channels} channels; pictures have 3'
      )
    if views == 'dense':
      try:
        dense.check(restored.model)
      except ValueError as e:
        name = found.meta['config']['model']['name']
        raise UserError(f'--views=dense is not for {name}: {e}') from e
    config = found.meta['config']
    self._classes = restored.model.num_classes
    self._names = found.meta['class_names']
    self._variables = replicate(restored.variables())
    self._views = _views(views, crop, config)
    # Imports do not say; torchvision and timm, where most come from, smooth.
    self._antialias = config.get('dataset', {}).get('antialias', True)
    self._step = make_score_step(restored.model, self._views)
    devices = jax.device_count()
    self._batch_size = -(-batch_size // devices) * devices

  def __call__(
    self, files: Sequence[str], *, top: int = 5
  ) -> tuple[list[Prediction], list[str]]:
    """The `top` classes of each of `files`, and those that are damaged.

    Raises:
      UserError: none of the files is a picture.
    """
    records = FileRecords.of(files, [0] * len(files))
    reader = ViewReader(
      records,
      antialias=self._antialias,
      max_damaged=len(files),
      host=0,
      hosts=1,
    )
    try:
      scores = score(
        self._step,
        self._variables,
        reader.parts(self._views, self._batch_size),
        examples=len(files),
        classes=self._classes,
        passes=len(self._views.shorter_sides),
        title='pictures',
      )
    except UserError as e:
      raise UserError(
        f'none of the {len(files)} files can be read as a picture: '
        f'{", ".join(files[:5])}'
      ) from e
    order = np.argsort(-scores.logs, 1, kind='stable')[:, :top]
    predictions, damaged = [], []
    for file, label, logs, best in zip(
      files, scores.labels, scores.logs, order, strict=True
    ):
      if label < 0:
        damaged.append(file)
        continue
      labels = best.tolist()
      predictions.append(
        Prediction(
          file,
          labels,
          [self._names[i] for i in labels],
          np.exp(logs[best].astype(np.float64)).tolist(),
        )
      )
    return predictions, damaged


def find_pictures(arguments: Sequence[str]) -> list[str]:
  """The files that are named, in folders, or matched by patterns, each once.

  Raises:
    UserError: an argument matches nothing.
  """
  files = []
  for argument in arguments:
    argument = paths.expand(argument, 'pictures')
    if os.path.isdir(argument):
      inside = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(argument)
        for name in names
        if name.lower().endswith(SUFFIXES)
      )
    elif os.path.isfile(argument):
      inside = [argument]
    else:
      inside = sorted(filter(os.path.isfile, glob.glob(argument)))
    if not inside:
      raise UserError(
        f'{argument} is no picture, and no folder or pattern that holds any'
      )
    files += inside
  return list(dict.fromkeys(files))


def run(arguments: Sequence[str] | None = None) -> None:
  """The command line.

  Raises:
    SystemExit: with the exit code, see `shell`.
  """
  with shell():
    options = _parser().parse_args(arguments)
    start_logging()
    _predict(options)


def _predict(options: argparse.Namespace) -> None:
  for name in ('top', 'batch_size'):
    if getattr(options, name) < 1:
      raise UserError(f'--{name}={getattr(options, name)} must be at least 1')
  output = options.output
  if output and output.suffix not in ('.csv', '.json'):
    raise UserError(f'--output={output} must end in .csv or .json')
  files = find_pictures(options.pictures)
  predictor = Predictor(
    options.checkpoint, views=options.views, batch_size=options.batch_size
  )
  predictions, damaged = predictor(files, top=options.top)
  if output:
    write = _write_csv if output.suffix == '.csv' else _write_json
    try:
      with output.open('w', newline='') as file:
        write(file, predictions)
    except OSError as e:
      raise UserError(f'--output={output}: {e.strerror}') from e
    print(f'{output}: {len(predictions)} pictures')
  else:
    _show(predictions)
  if damaged:
    raise UserError(
      f'{len(damaged)} of {len(files)} files could not be read: '
      f'{", ".join(damaged[:5])}'
    )


def _views(name: str, crop: int, config: dict[str, Any]) -> Views:
  """The views that the network was tested with.

  Args:
    name: Name of the views.
    crop: Pixels of the side of the images that it was trained on.
    config: Config of the network's run or import.
  """
  if config.get('dataset', {}).get('crop_size'):
    test = config['test']
    side, scales = test['shorter_side'], test['dense_shorter_sides']
  elif crop == 224:
    side, scales = 256, (224, 256, 384, 480, 640)
  else:  # small images were never cropped out of larger ones
    side, scales = crop, (crop,)
  return Views(name, tuple(scales) if name == 'dense' else (side,), crop)


def _show(predictions: list[Prediction]) -> None:
  for one in predictions:
    print(one.file)
    for name, probability in zip(one.names, one.probabilities, strict=True):
      print(f'  {100 * probability:6.2f} %  {name}')


def _write_csv(file: TextIO, predictions: list[Prediction]) -> None:
  table = csv.writer(file)
  table.writerow(['file', 'rank', 'label', 'name', 'probability'])
  for one in predictions:
    for rank, entry in enumerate(
      zip(one.labels, one.names, one.probabilities, strict=True), 1
    ):
      table.writerow([one.file, rank, *entry])


def _write_json(file: TextIO, predictions: list[Prediction]) -> None:
  json.dump([dataclasses.asdict(one) for one in predictions], file, indent=2)
  file.write('\n')


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m resnet_jax.predict', description=__doc__.splitlines()[0]
  )
  parser.add_argument(
    '--checkpoint',
    required=True,
    type=paths.argument('--checkpoint'),
    help='folder SERIES/STEP, or a file of weights',
  )
  parser.add_argument(
    '--views',
    choices=NAMES,
    default='single',
    help='views of each picture whose scores are averaged (default: single)',
  )
  parser.add_argument('--top', type=int, default=5, help='classes to show')
  parser.add_argument(
    '--batch_size', type=int, default=32, help='pictures at a time'
  )
  parser.add_argument(
    '--output',
    type=paths.argument('--output'),
    help='write FILE.csv or FILE.json',
  )
  parser.add_argument(
    'pictures', nargs='+', help='files, folders, or patterns in quotes'
  )
  return parser


if __name__ == '__main__':
  run()
