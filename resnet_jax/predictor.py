"""Classifies pictures with the network of a checkpoint, in Python."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

# TensorFlow reads this when it is imported, to decode the pictures.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import jax
import numpy as np

from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.data.streamed.view_reader import ViewReader
from resnet_jax.data.views import Views
from resnet_jax.errors import UserError
from resnet_jax.evaluate import score
from resnet_jax.models import dense
from resnet_jax.placement import replicate
from resnet_jax.runs import restore
from resnet_jax.step import make_score_step
from resnet_jax.text import plain
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
    resize: Shorter side of the pictures in pixels; several for 'dense'. By
      default those that the network was tested with.
    batch_size: Pictures at a time; rounded up to a multiple of the devices.

  Raises:
    UserError: there is no such checkpoint, or its network is not for pictures
      in colour, or not for these views.
  """

  def __init__(
    self,
    path: pathlib.Path,
    *,
    views: str = 'single',
    resize: Sequence[int] = (),
    batch_size: int = 32,
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
    self._views = _views(views, crop, config, resize)
    self._antialias = restore.antialias(found)
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
        f'{listed(files)}'
      ) from e
    order = np.argsort(-scores.logs, 1, kind='stable')[:, :top]
    seen, damaged = [], []
    for file, label, logs, best in zip(
      files, scores.labels, scores.logs, order, strict=True
    ):
      if label < 0:
        damaged.append(file)
        continue
      labels = best.tolist()
      seen.append(
        Prediction(
          file,
          labels,
          [self._names[i] for i in labels],
          np.exp(logs[best].astype(np.float64)).tolist(),
        )
      )
    return seen, damaged


def listed(files: Sequence[str]) -> str:
  """The first of `files`, for a message."""
  return ', '.join(map(plain, files[:5]))


def _views(
  name: str, crop: int, config: dict[str, Any], resize: Sequence[int]
) -> Views:
  """The views that the network was tested with, or that are asked for.

  Args:
    name: Name of the views.
    crop: Pixels of the side of the images that it was trained on.
    config: Config of the network's run or import.
    resize: Shorter sides of the pictures in place of those of the test.

  Raises:
    UserError: such pictures do not hold the crop, or are too many for the
      views.
  """
  if config.get('dataset', {}).get('crop_size'):
    test = config['test']
    side, scales = test['shorter_side'], test['dense_shorter_sides']
  elif crop == 224:
    side, scales = 256, (224, 256, 384, 480, 640)
  else:  # small images were never cropped out of larger ones
    side, scales = crop, (crop,)
  sides = tuple(resize) or (tuple(scales) if name == 'dense' else (side,))
  flag = f'--resize={",".join(map(str, sides))}'
  if len(sides) > 1 and name != 'dense':
    raise UserError(
      f'{flag}: several sides are for --views=dense; {name!r} takes one'
    )
  if min(sides) < crop:
    raise UserError(
      f'{flag}: pictures of {min(sides)} pixels do not hold the {crop} that '
      f'this network looks at; it can be {crop} or more'
    )
  return Views(name, sides, crop)
