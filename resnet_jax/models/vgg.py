"""The VGG nets (Simonyan & Zisserman 2015): Fig. 3, left, and Table 3.

The tree of variables is `conv1_1` ... `conv5_3`, `fc6`, `fc7` and `fc`, the
last layer, which tells the classes apart.
"""

from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from resnet_jax.models import baseline_layers as layers
from resnet_jax.models.initial import he_normal
from resnet_jax.models.precision import Precision, in_precision


class VGG(nn.Module):
  """3x3 convolutions, 2x2 max-pooling behind each stage, three fc layers.

  At 224x224 pixels VGG-16 (configuration D) has 138,357,544 parameters and
  15.470 billion multiply-adds, of which 15.347 are in convolutions: Sec. 4.1
  counts these alone, and says 15.3. VGG-19 (E) has 143,667,240 parameters and
  19.632 billion, with fc; the paper says 19.6. Other sizes of images work, and
  make other networks: fc6 has a weight for each place of the last maps.

  All weights start from He's Gaussian. The authors first trained a net of 11
  layers, from whose weights the others started; with He's initialization nets
  of that depth train without it (He et al. 2015 [13], Sec. 2.2).

  Attributes:
    stage_sizes: Convolutions of each stage (their Table 1).
    num_classes: Size of the last fully-connected layer.
    filters: Channels of each stage.
    hidden: Size of fc6 and of fc7.
    dropout: Share of fc6 and fc7 that training sets to 0; the rest is scaled
      up in return.
    dtype: Type of the computation: float32, bfloat16 (or float64). Parameters
      and logits are float32 (or float64).
    precision: Precision of float32 products, see `precision.Precision`.
  """

  stage_sizes: Sequence[int]
  num_classes: int
  filters: Sequence[int] = (64, 128, 256, 512, 512)
  hidden: int = 4096
  dropout: float = 0.5
  dtype: DTypeLike = jnp.float32
  precision: Precision = 'float32'

  # The first fully-connected layer takes maps of one size only.
  flattens: ClassVar[bool] = True

  def setup(self) -> None:
    for stage, (size, filters) in enumerate(
      zip(self.stage_sizes, self.filters, strict=True), 1
    ):
      for i in range(1, size + 1):
        conv = layers.conv(filters, 3, dtype=self.dtype, init=he_normal)
        setattr(self, f'conv{stage}_{i}', conv)
    wide = jnp.promote_types(self.dtype, jnp.float32)
    for name, features, dtype in (
      ('fc6', self.hidden, self.dtype),
      ('fc7', self.hidden, self.dtype),
      ('fc', self.num_classes, wide),
    ):
      fc = layers.fully_connected(features, dtype=dtype, init=he_normal)
      setattr(self, name, fc)
    self.drop = nn.Dropout(self.dropout)

  @property
  def least_size(self) -> int:
    """The least side of an image: it leaves one pixel to the last maps."""
    return 2 ** len(self.stage_sizes)

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
      ValueError: `images` has another shape, or is below 32x32 pixels.
    """
    *_, maps = self.features(images, train).values()
    x = _pool(maps)
    x = x.reshape(len(x), -1)
    for fc in (self.fc6, self.fc7):
      x = self.drop(nn.relu(fc(x)), deterministic=not train)
    return self.fc(x.astype(jnp.promote_types(self.dtype, jnp.float32)))

  @in_precision
  def features(
    self, images: jax.Array, train: bool = False
  ) -> dict[str, jax.Array]:
    """The last maps of each stage, `conv1_x` to `conv5_x`, before pooling.

    Their strides are 1, 2, 4, 8 and 16. Arguments and errors are those of
    `__call__`; `train` changes nothing.
    """
    del train
    layers.check_images(images, self.least_size)
    x = images.astype(self.dtype)
    outputs = {}
    for stage, size in enumerate(self.stage_sizes, 1):
      if stage > 1:
        x = _pool(x)
      for i in range(1, size + 1):
        x = nn.relu(getattr(self, f'conv{stage}_{i}')(x))
      outputs[f'conv{stage}_x'] = x
    return outputs


def _pool(x: jax.Array) -> jax.Array:
  return nn.max_pool(x, (2, 2), strides=(2, 2))
