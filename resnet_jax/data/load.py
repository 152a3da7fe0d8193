"""The data that a config names: resident where small, else streamed."""

from typing import TYPE_CHECKING

from resnet_jax.data.feed import Data
from resnet_jax.data.resident import sources
from resnet_jax.data.resident.data import ResidentData
from resnet_jax.data.streamed import sources as pictures
from resnet_jax.data.streamed.data import StreamedData

if TYPE_CHECKING:
  import ml_collections


def load(config: 'ml_collections.ConfigDict') -> Data:
  """The data of `config.dataset`.

  Raises:
    UserError: there is no such set, it cannot be had here, or it is damaged.
  """
  if config.crop_size:
    return StreamedData(pictures.load(config), config)
  return ResidentData(sources.load(config))
