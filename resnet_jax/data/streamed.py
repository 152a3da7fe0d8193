"""Pictures of any size, as training and evaluation ask for them."""

import io
import pathlib
from collections.abc import Iterator

import jax
import ml_collections
import numpy as np

from resnet_jax.data.feed import Part
from resnet_jax.data.normalization import IMAGENET_MEAN, Normalization
from resnet_jax.data.picture_views import ViewReader
from resnet_jax.data.pictures import PictureSet
from resnet_jax.data.streamed_feed import StreamedFeed
from resnet_jax.errors import UserError, first_line
from resnet_jax.views import Views


class StreamedData:
  """A `PictureSet` as `feed.Data`, whose attributes it has.

  Args:
    pictures: the set.
    config: of it, `config.dataset`.
  """

  def __init__(
    self, pictures: PictureSet, config: ml_collections.ConfigDict
  ) -> None:
    self._pictures = pictures
    self._config = config
    self._readers = {}
    self.name = pictures.name
    self.class_names = pictures.class_names
    self.image_shape = (config.crop_size, config.crop_size, 3)
    self.sizes = {name: len(split) for name, split in pictures.splits.items()}
    self.fingerprint = pictures.fingerprint

  @property
  def mean_file(self) -> pathlib.Path:
    """Where the mean image is, or is to be written."""
    file = pathlib.Path(self._config.mean_file).expanduser()
    return file if file.is_absolute() else self._pictures.folder / file

  def normalization(self, config: ml_collections.ConfigDict) -> Normalization:
    kind = config.dataset.mean
    if kind == 'imagenet':
      return Normalization.by(IMAGENET_MEAN)
    mean = _read_mean(self.mean_file, self.image_shape)
    return Normalization.by(mean if kind == 'pixel' else mean.mean((0, 1)))

  def feed(self, config: ml_collections.ConfigDict) -> StreamedFeed:
    return StreamedFeed(
      self._pictures.splits['train'],
      config,
      host=jax.process_index(),
      hosts=jax.process_count(),
    )

  def parts(self, split: str, views: Views, batch_size: int) -> Iterator[Part]:
    if split not in self._readers:
      self._readers[split] = ViewReader(
        self._pictures.splits[split],
        antialias=self._config.antialias,
        max_damaged=self._config.max_damaged,
        host=jax.process_index(),
        hosts=jax.process_count(),
      )
    return self._readers[split].parts(views, batch_size)


def _read_mean(file: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
  """The mean image that `--mode=mean_image` has written."""
  command = 'python -m resnet_jax.main --mode=mean_image --config=FILE ...'
  if not file.is_file():
    raise UserError(
      f'there is no mean image {file} (config.dataset.mean_file). Compute it '
      f'from the training set, once, by {command}; or subtract what is in '
      f'public use with --config.dataset.mean=imagenet'
    )
  try:
    mean = np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
  except (ValueError, OSError, EOFError) as e:
    raise UserError(
      f'{file} is damaged or no .npy file ({first_line(e)}); compute it anew '
      f'by {command}'
    ) from e
  if mean.shape != shape or not np.isfinite(mean).all():
    raise UserError(
      f'{file} is {list(mean.shape)}, and crops are {list(shape)} '
      f'(config.dataset.crop_size); compute it anew by {command}, under '
      f'another config.dataset.mean_file'
    )
  if not 0 <= mean.min() <= mean.max() <= 255 or mean.max() <= 1:
    raise UserError(
      f'{file} has values from {mean.min():g} to {mean.max():g}; a mean image '
      f'is of pixels from 0 to 255. Compute it anew by {command}'
    )
  return mean
