"""The data that a config names: resident where small, else streamed."""

import ml_collections

from resnet_jax.data.feed import Data
from resnet_jax.data.resident.data import ResidentData
from resnet_jax.data.resident.sources import load_images
from resnet_jax.data.streamed.data import StreamedData
from resnet_jax.data.streamed.sources import load_pictures


def load(config: ml_collections.ConfigDict) -> Data:
  """The data of `config.dataset`.

  Raises:
    UserError: there is no such set, it cannot be had here, or it is damaged.
  """
  if config.crop_size:
    return StreamedData(load_pictures(config), config)
  return ResidentData(load_images(config))
