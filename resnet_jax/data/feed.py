"""What training and evaluation ask of data, wherever batches are made.

Resident data are small and live on the devices, where the compiled step makes
batches of them. Streamed data are pictures of any size: the host decodes and
crops them, and leaves to the device what is cheaper there. Either way a step's
batch is a function of the seed and of the step alone.
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
# width, channels], and labels, int32 [examples], of one device. Compiled.
MakeBatch = Callable[
  [jax.Array, Any, Any, Normalization], tuple[jax.Array, jax.Array]
]


class Feed(Protocol):
  """The training batches of a run.

  Attributes:
    make_batch: what is left to do inside the compiled step.
  """

  make_batch: MakeBatch

  def at(self, step: int) -> tuple[Any, Any]:
    """What `make_batch` needs for `step`, on the devices.

    Returns:
      What is common to all devices, and what is each device's share, with a
      leading axis of local devices.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Part:
  """Some examples of an evaluation, on one host; n fills its devices evenly.

  Attributes:
    images: uint8 [n, crops, height, width, channels].
    sizes: int32 [n, 2]: height and width of what is no padding.
    labels: int32 [n].
    ids: int64 [n], of the example in its split; -1 does not count.
  """

  images: np.ndarray
  sizes: np.ndarray
  labels: np.ndarray
  ids: np.ndarray


class Data(Protocol):
  """A labelled set of images with its splits.

  Attributes:
    name: of the set.
    class_names: by label.
    image_shape: height, width and channels of what a network is trained on.
    sizes: examples, by split: train, and validation or test or both.
    fingerprint: of the content, or, of pictures, of names and sizes: a run's
      results hang on it.
  """

  name: str
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  sizes: dict[str, int]
  fingerprint: str

  def normalization(self, config: ml_collections.ConfigDict) -> Normalization:
    """That of `config.dataset.mean`, on the host."""
    ...

  def feed(self, config: ml_collections.ConfigDict) -> Feed:
    """The training batches of `config`."""
    ...

  def parts(self, split: str, views: Views, batch_size: int) -> Iterator[Part]:
    """Every example of `split` once for each of `views.shorter_sides`.

    Args:
      split: of `sizes`.
      views: what is to be seen of each example.
      batch_size: over all hosts and devices; all hosts get as many parts.
    """
    ...
