"""Pictures of any size, which training and evaluation read from the disk."""

import pathlib
from collections.abc import Iterator

import jax
import ml_collections
import numpy as np

from resnet_jax.data.arrays import read_npz
from resnet_jax.data.feed import Part
from resnet_jax.data.normalization import IMAGENET_MEAN, Normalization
from resnet_jax.data.streamed.feed import StreamedFeed
from resnet_jax.data.streamed.sources import PictureSet
from resnet_jax.data.streamed.view_reader import ViewReader
from resnet_jax.data.views import Views
from resnet_jax.errors import UserError


class StreamedData:
  """A `PictureSet` as `feed.Data`, which documents its methods.

  Args:
    pictures: The set.
    config: `config.dataset` of the run.
  """

  def __init__(
    self, pictures: PictureSet, config: ml_collections.ConfigDict
  ) -> None:
    self._pictures = pictures
    self._config = config
    self._readers: dict[str, ViewReader] = {}
    self.name = pictures.name
    self.class_names = pictures.class_names
    self.image_shape = (config.crop_size, config.crop_size, 3)
    self.sizes = {name: len(split) for name, split in pictures.splits.items()}
    self.fingerprint = pictures.fingerprint

  @property
  def mean_file(self) -> pathlib.Path:
    """The file of the mean image, which need not exist yet."""
    file = pathlib.Path(self._config.mean_file).expanduser()
    return file if file.is_absolute() else self._pictures.folder / file

  def mean_is_made_of(self, config: ml_collections.ConfigDict) -> str:
    """The data and the fields that the mean image depends on, in words."""
    return (
      f'{self.sizes["train"]} pictures of data {self.fingerprint}, shorter '
      f'side {config.test.shorter_side}, antialias {config.dataset.antialias}'
    )

  def normalization(self, config: ml_collections.ConfigDict) -> Normalization:
    kind = config.dataset.mean
    if kind == 'imagenet':
      return Normalization.by(IMAGENET_MEAN)
    mean = _read_mean(
      self.mean_file, self.image_shape, self.mean_is_made_of(config)
    )
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


def _read_mean(
  file: pathlib.Path, shape: tuple[int, ...], made_of: str
) -> np.ndarray:
  """The mean image that `--mode=mean_image` has written.

  Raises:
    UserError: there is none, it is damaged, or it is of other data.
  """
  command = 'python -m resnet_jax.main --mode=mean_image --config=FILE ...'
  if not file.is_file():
    raise UserError(
      f'there is no mean image {file} (config.dataset.mean_file). Compute it '
      f'from the training set, once, by {command}; or subtract what is in '
      f'public use with --config.dataset.mean=imagenet'
    )
  mean, text = read_npz(
    file,
    ('mean', 'made_of'),
    kinds=('f', 'U'),
    mend=f'compute the mean image anew by {command}',
  )
  theirs = str(text)
  if mean.shape != shape:
    raise UserError(
      f'{file} is {list(mean.shape)}, and crops are {list(shape)} '
      f'(config.dataset.crop_size); compute it anew by {command}, under '
      f'another config.dataset.mean_file'
    )
  if theirs != made_of:
    raise UserError(
      f'{file} is the mean of {theirs}, and this run has {made_of}; compute it '
      f'anew by {command}, or name another config.dataset.mean_file'
    )
  return mean
