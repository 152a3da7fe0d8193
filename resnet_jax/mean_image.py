"""Computes the mean image of the training set, which the paper subtracts."""

import contextlib
import logging
import pathlib

import jax
import ml_collections
import numpy as np

from resnet_jax import experiment
from resnet_jax.config import checks
from resnet_jax.console import Progress
from resnet_jax.data.streamed.data import StreamedData
from resnet_jax.data.views import Views
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

_BATCH = 64


def compute(config: ml_collections.ConfigDict) -> None:
  """Writes the mean of the centre crops of all training pictures.

  The mean is float32 [crop, crop, 3], of pixels from 0 to 255, at
  `config.test.shorter_side`. It goes into `config.dataset.mean_file`, with the
  fingerprint of the pictures. Where it is there already, nothing is done.

  Raises:
    UserError: the data are no pictures, cannot be read, or their folder cannot
      be written to.
  """
  checks.check(config)
  if not config.dataset.crop_size:
    raise UserError(
      'the mean image of small images is computed whenever they are loaded; '
      'only pictures (config.dataset.crop_size above 0) need a file of it'
    )
  if jax.process_count() > 1:
    raise UserError('compute the mean image on one host; it is read by all')
  data = experiment.load_data(config)
  assert isinstance(data, StreamedData)  # as crop_size asks for
  crop = config.dataset.crop_size
  views = Views('single', (config.test.shorter_side,), crop)
  file = data.mean_file
  # The file is wanted even if this config subtracts something else.
  wanted = config.copy_and_resolve_references()
  wanted.dataset.mean = 'pixel'
  with contextlib.suppress(UserError):  # it is not there, or of other pictures
    data.normalization(wanted)
    _log.info('%s is there already, and of these pictures', file)
    return
  _check_writable(file)
  total, count = np.zeros((crop, crop, 3), np.int64), 0
  with Progress('pictures averaged', data.sizes['train']) as progress:
    for part in data.parts('train', views, _BATCH):
      real = part.ids >= 0
      total += part.images[real, 0].sum(0, dtype=np.int64)
      count += int(real.sum())
      progress.add(int(real.sum()))
  mean = (total / count).astype(np.float32)
  draft = file.with_name(f'.{file.name}.draft')
  with draft.open('wb') as handle:
    np.savez(handle, mean=mean, made_of=data.mean_is_made_of(config))
  draft.rename(file)
  red, green, blue = mean.mean((0, 1))
  _log.info(
    '%s: mean of %s pictures, %.2f %.2f %.2f by channel',
    file,
    f'{count:,}',
    red,
    green,
    blue,
  )


def _check_writable(file: pathlib.Path) -> None:
  try:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_name(f'.{file.name}.draft').write_bytes(b'')
  except OSError as e:
    raise UserError(
      f'{file} cannot be written: {e.strerror}. Name another place with '
      f'--config.dataset.mean_file=FILE.npz'
    ) from e
