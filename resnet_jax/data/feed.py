"""The interface through which training and evaluation get their examples.

Resident data are small and live on the devices, where the compiled step makes
batches of them. Streamed data are pictures of any size: the host decodes and
crops them, and the device does the rest. Either way a step's batch is a
function of the seed and of the step alone.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import ml_collections
import numpy as np

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.views import Views

# (step, common, share, normalization) -> images, float32 [examples, height,
# width, channels], and labels, int32 [examples]; compiled, for one device.
MakeBatch = Callable[
  [jax.Array, Any, Any, Normalization], tuple[jax.Array, jax.Array]
]


class Feed(Protocol):
  """The training batches of a run.

  Attributes:
    make_batch: The part of the work that the compiled step does.
  """

  make_batch: MakeBatch

  def at(self, step: int) -> tuple[Any, Any]:
    """The arguments of `make_batch` for `step`, on the devices.

    Returns:
      `common`, the same on all devices, and `share`, which has a leading axis
      of local devices.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Part:
  """Some examples of an evaluation, on one host; n fills its devices evenly.

  Attributes:
    images: uint8 [n, crops, height, width, channels].
    sizes: int32 [n, 2], height and width of each image without its padding.
    labels: int32 [n].
    ids: int64 [n], the example's number in its split; -1 does not count, as it
      pads the last batch or is damaged.
  """

  images: np.ndarray
  sizes: np.ndarray
  labels: np.ndarray
  ids: np.ndarray


class Data(Protocol):
  """A labelled set of images with its splits.

  Attributes:
    name: The set's name, for messages.
    class_names: The classes in the order of their labels.
    image_shape: Height, width and channels of the images to train on.
    sizes: Number of examples by split: train, and validation or test or both.
    fingerprint: Hash of the content, or, of pictures, of their names and sizes.
      A run is resumed only on data of the same fingerprint.
  """

  name: str
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  sizes: dict[str, int]
  fingerprint: str

  def normalization(self, config: ml_collections.ConfigDict) -> Normalization:
    """The normalization that `config.dataset.mean` names, on the host."""
    ...

  def feed(self, config: ml_collections.ConfigDict) -> Feed:
    """The training batches of `config`."""
    ...

  def parts(self, split: str, views: Views, batch_size: int) -> Iterator[Part]:
    """Every example of `split` once for each of `views.shorter_sides`.

    Args:
      split: A key of `sizes`.
      views: The views of each example that are tested.
      batch_size: Examples of a part over all hosts and devices; every host gets
        the same number of parts.
    """
    ...
