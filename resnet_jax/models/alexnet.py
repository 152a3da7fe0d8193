"""AlexNet (Krizhevsky et al. 2012), the first of ImageNet's deep nets.

The tree of variables is `conv1` ... `conv5`, `fc6`, `fc7` and `fc`, the eighth
layer, which tells the classes apart.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from resnet_jax.models import baseline_layers as layers
from resnet_jax.models.initial import normal
from resnet_jax.models.precision import Precision, in_precision
from resnet_jax.models.resnet import StemPool

# Their Sec. 5: all weights start from a Gaussian of deviation 0.01.
_gaussian = normal(0.01)


class AlexNet(nn.Module):
  """The network of two GPUs as one network, as Caffe defines it.

  Where a GPU did not see the maps of the other, the convolution has two groups
  (conv2, conv4, conv5). LRN, which stayed on one GPU, goes over all channels as
  in Caffe; its numbers are the paper's. There are 60,965,224 parameters and
  0.724 billion multiply-adds at 224x224 or 227x227 pixels.

  The paper says 224x224 pixels, and 55x55 maps behind windows of 11 pixels and
  stride 4, which need 227. So images are padded with zeros, on both sides as
  evenly as can be, to the next size that the stride fits: 224 to 227, and 227
  not at all. Other sizes work, and make other networks: fc6 has a weight for
  each place of the last maps.

  Attributes:
    num_classes: Size of the last fully-connected layer.
    dropout: Share of fc6 and fc7 that training sets to 0. The rest is scaled up
      in training, where the paper scales down in tests, to the same effect.
    dtype: Type of the computation: float32, bfloat16 (or float64). Parameters
      and logits are float32 (or float64).
    precision: Precision of float32 products, see `precision.Precision`.
  """

  num_classes: int
  dropout: float = 0.5
  dtype: DTypeLike = jnp.float32
  precision: Precision = 'float32'

  # Leaves maps of 8 pixels to the three poolings.
  least_size: ClassVar[int] = 36
  # The first fully-connected layer takes maps of one size only.
  flattens: ClassVar[bool] = True

  def setup(self) -> None:
    def conv(filters: int, kernel: int, bias: float, **fields: int) -> nn.Conv:
      return layers.conv(
        filters,
        kernel,
        dtype=self.dtype,
        init=_gaussian,
        bias=bias,
        **fields,
      )

    def fc(
      features: int, bias: float, dtype: DTypeLike = self.dtype
    ) -> nn.Dense:
      return layers.fully_connected(
        features, dtype=dtype, init=_gaussian, bias=bias
      )

    # Their Sec. 5: biases of 1 give ReLUs positive inputs from the start.
    self.conv1 = conv(96, 11, 0.0, stride=4, padding=0)
    self.conv2 = conv(256, 5, 1.0, groups=2)
    self.conv3 = conv(384, 3, 0.0)
    self.conv4 = conv(384, 3, 1.0, groups=2)
    self.conv5 = conv(256, 3, 1.0, groups=2)
    self.fc6 = fc(4096, 1.0)
    self.fc7 = fc(4096, 1.0)
    self.fc = fc(
      self.num_classes, 0.0, jnp.promote_types(self.dtype, jnp.float32)
    )
    self.norm = layers.LocalResponseNorm()
    self.pool = StemPool()
    self.drop = nn.Dropout(self.dropout)

  @property
  def uses_dropout(self) -> bool:
    """Whether training needs a key named `dropout`."""
    return self.dropout > 0

  @in_precision
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """Logits, [examples, num_classes], float32.

    Args:
      images: [examples, height, width, channels].
      train: Whether to drop out; then pass `rngs={'dropout': key}` to `apply`.

    Raises:
      ValueError: `images` has another shape, or is below 36x36 pixels.
    """
    x = self.pool(self.features(images, train)['conv5'])
    x = x.reshape(len(x), -1)
    for fc in (self.fc6, self.fc7):
      x = self.drop(nn.relu(fc(x)), deterministic=not train)
    return self.fc(x.astype(jnp.promote_types(self.dtype, jnp.float32)))

  @in_precision
  def features(
    self, images: jax.Array, train: bool = False
  ) -> dict[str, jax.Array]:
    """The maps of each convolution, behind ReLU, before any LRN and pooling.

    Arguments and errors are those of `__call__`; `train` changes nothing.
    """
    del train
    layers.check_images(images, self.least_size)
    excess = [(11 - n) % 4 for n in images.shape[1:3]]
    sides = [(0, 0), *((n // 2, n - n // 2) for n in excess), (0, 0)]
    x = jnp.pad(images.astype(self.dtype), sides)
    x = conv1 = nn.relu(self.conv1(x))
    x = conv2 = nn.relu(self.conv2(self.pool(self.norm(x))))
    x = conv3 = nn.relu(self.conv3(self.pool(self.norm(x))))
    x = conv4 = nn.relu(self.conv4(x))
    conv5 = nn.relu(self.conv5(x))
    return {
      'conv1': conv1,
      'conv2': conv2,
      'conv3': conv3,
      'conv4': conv4,
      'conv5': conv5,
    }
