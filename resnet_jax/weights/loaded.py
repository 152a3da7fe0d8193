"""A network ready for use, from a checkpoint or a file of weights."""

import dataclasses
import os
import pathlib
from typing import Any

import jax
import numpy as np

from resnet_jax import models
from resnet_jax.data.normalization import Normalization
from resnet_jax.runs import restore
from resnet_jax.weights.checkpoints import read_checkpoint


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A trained network with all that its weights need.

  Attributes:
    model: The module, in the form that the weights were trained in.
    variables: Its `params` and `batch_stats`, on the host.
    normalization: Makes of uint8 images what the network was trained on.
    class_names: The classes in the order of their labels.
    image_shape: Height, width and channels of the images it was trained on.
  """

  model: models.Network
  variables: dict[str, Any]
  normalization: Normalization
  class_names: list[str]
  image_shape: tuple[int, int, int]

  def __call__(self, images: jax.Array | np.ndarray) -> jax.Array:
    """Logits [examples, classes] of uint8 [examples, height, width, 3]."""
    pixels = self.normalization(images)
    logits: Any = self.model.apply(self.variables, pixels)
    return logits


def load(path: str | os.PathLike[str]) -> Loaded:
  """The network of a checkpoint, SERIES/STEP, or of a file of weights.

  The fields that weights do not show (place of the strides, pooling of the
  stem) and the normalization are those of the checkpoint, or of the metadata
  of a file that `export` has written; of any other file, they are PyTorch's.

  Raises:
    UserError: there is none, or it cannot be read, see `read_file`.
  """
  found = read_checkpoint(pathlib.Path(path))
  restored = restore.restore(found)
  return Loaded(
    restored.model,
    restored.net,
    restored.normalization,
    list(found.meta['class_names']),
    restored.image_shape,
  )
