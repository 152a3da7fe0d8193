"""The data that a config names: resident where small, else streamed."""

from collections.abc import Sequence

import ml_collections

from resnet_jax.data.feed import Data
from resnet_jax.data.resident.data import ResidentData
from resnet_jax.data.resident.sources import load_images
from resnet_jax.data.streamed.data import StreamedData
from resnet_jax.data.streamed.sources import load_pictures


def load(
  config: ml_collections.ConfigDict, classes: Sequence[str] | None = None
) -> Data:
  """The data of `config.dataset`.

  Args:
    config: `config.dataset` of the run.
    classes: The classes of a checkpoint to evaluate, which name the labels of a
      folder; None where a run is to be trained.

  Raises:
    UserError: there is no such set, it cannot be had here, or it is damaged.
  """
  if config.crop_size:
    return StreamedData(load_pictures(config, classes), config)
  return ResidentData(load_images(config, classes))
