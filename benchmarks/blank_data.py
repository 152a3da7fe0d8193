"""Stand-ins for data sets, for programs that are compiled and not run.

They have the shapes and sizes of the real sets, and zeros for pixels, so that
no data set is needed: `experiment.build(config, loader=blank_data.load)`.
"""

import dataclasses
from collections.abc import Iterator

import ml_collections
import numpy as np

from resnet_jax.data.feed import Data, Part
from resnet_jax.data.normalization import IMAGENET_MEAN, Normalization
from resnet_jax.data.resident.data import ResidentData
from resnet_jax.data.resident.images import ImageSet, Split, hold_out
from resnet_jax.data.streamed.feed import StreamedFeed
from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.data.views import Views
from resnet_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Size:
  """Examples of a set's splits, and its number of classes."""

  train: int
  test: int
  classes: int


_SMALL = {
  'cifar10': _Size(50_000, 10_000, 10),
  'cifar100': _Size(50_000, 10_000, 100),
}
_PICTURES = {'imagenet2012': _Size(1_281_167, 50_000, 1000)}


def load(config: ml_collections.ConfigDict) -> Data:
  """The stand-in for the data of `config`.

  Raises:
    UserError: the shapes of its data are not known here.
  """
  dataset = config.dataset
  known = _PICTURES if dataset.crop_size else _SMALL
  if dataset.npz or dataset.folder or dataset.name not in known:
    raise UserError(
      f'the shapes of {dataset.npz or dataset.folder or dataset.name!r} are '
      f'not known without its data; set --config.dataset.name to one of '
      f'{", ".join(known)}'
    )
  size = known[dataset.name]
  if dataset.crop_size:
    return _BlankPictures(dataset, size)
  names = tuple(str(i) for i in range(size.classes))
  images = ImageSet(
    dataset.name, names, _blank_split(size.train), _blank_split(size.test)
  )
  examples, seed = dataset.validation_examples, dataset.validation_seed
  return ResidentData(hold_out(images, examples, seed))


def _blank_split(examples: int) -> Split:
  return Split(
    np.zeros((examples, 32, 32, 3), np.uint8), np.zeros(examples, np.int64)
  )


class _BlankPictures:
  """Pictures of zeros as `feed.Data`, which documents its methods."""

  def __init__(self, dataset: ml_collections.ConfigDict, size: _Size) -> None:
    self._crop = dataset.crop_size
    self.name = dataset.name
    self.class_names = tuple(str(i) for i in range(size.classes))
    self.image_shape = (self._crop, self._crop, 3)
    self.sizes = {'train': size.train, 'validation': size.test}
    self.fingerprint = ''

  def normalization(self, config: ml_collections.ConfigDict) -> Normalization:
    if config.dataset.mean == 'pixel':
      return Normalization.by(np.zeros(self.image_shape))
    return Normalization.by(IMAGENET_MEAN)

  def feed(self, config: ml_collections.ConfigDict) -> StreamedFeed:
    examples = self.sizes['train']
    records = FileRecords(np.zeros(examples, 'S1'), np.zeros(examples))
    return _BlankFeed(records, config)

  def parts(self, split: str, views: Views, batch_size: int) -> Iterator[Part]:
    raise NotImplementedError('blank pictures are not evaluated')


class _BlankFeed(StreamedFeed):
  """A `StreamedFeed` that decodes nothing."""

  def __init__(
    self, records: FileRecords, config: ml_collections.ConfigDict
  ) -> None:
    super().__init__(records, config, host=0, hosts=1)
    crop = config.dataset.crop_size
    self._shape = (config.batch_size, crop, crop, 3)

  def host_batch(self, step: int) -> dict[str, np.ndarray]:
    del step
    numbers = np.zeros(self._shape[0], np.int32)
    return {
      'images': np.zeros(self._shape, np.uint8),
      'labels': numbers,
      'epochs': numbers,
      'ids': numbers,
    }
