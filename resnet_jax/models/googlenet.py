"""GoogLeNet (Szegedy et al. 2014): Table 3. It has two auxiliary heads.

The tree of variables is `conv1`, `conv2_reduce`, `conv2`, `inception3a` ...
`inception5b` with the convolutions of each, `auxiliary1`, `auxiliary2`, `fc`.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from resnet_jax.models import baseline_layers as layers
from resnet_jax.models.initial import xavier_uniform
from resnet_jax.models.precision import Precision, in_precision
from resnet_jax.models.resnet import StemPool

# Their Table 1: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool proj.
_INCEPTIONS = {
  'inception3a': (64, 96, 128, 16, 32, 32),
  'inception3b': (128, 128, 192, 32, 96, 64),
  'inception4a': (192, 96, 208, 16, 48, 64),
  'inception4b': (160, 112, 224, 24, 64, 64),
  'inception4c': (128, 128, 256, 24, 64, 64),
  'inception4d': (112, 144, 288, 32, 64, 64),
  'inception4e': (256, 160, 320, 32, 128, 128),
  'inception5a': (256, 160, 320, 32, 128, 128),
  'inception5b': (384, 192, 384, 48, 128, 128),
}
# Their Sec. 5: the maps that the auxiliary heads read.
_HEADS = {'auxiliary1': 'inception4a', 'auxiliary2': 'inception4d'}

# Their paper does not say what weights and biases start from. Caffe's
# bvlc_googlenet, which trains without BN, has the initialization that it calls
# Xavier's, and biases of 0.2, but 0 in the layers that tell the classes apart.
_BIAS = 0.2


class GoogLeNet(nn.Module):
  """22 layers of Inception modules, without batch normalization.

  It has 6,998,552 parameters and, at 224x224 pixels, 1.583 billion multiply-
  adds; with the auxiliary heads, which only training computes, it has
  13,378,280 parameters. As in Caffe's bvlc_googlenet, poolings that halve maps
  are not padded and round sizes up, and LRN has Caffe's numbers, which the
  authors' paper leaves open. Other sizes of images work, and make other
  auxiliary heads, which have a weight for each place of their maps.

  Attributes:
    num_classes: Size of the last fully-connected layers.
    dropout: Share of the pooled features that training sets to 0; the rest is
      scaled up in return.
    auxiliary_dropout: The same share of the auxiliary heads' hidden layers.
    dtype: Type of the computation: float32, bfloat16 (or float64). Parameters
      and logits are float32 (or float64).
    precision: Precision of float32 products, see `precision.Precision`.
  """

  num_classes: int
  dropout: float = 0.4
  auxiliary_dropout: float = 0.7
  dtype: DTypeLike = jnp.float32
  precision: Precision = 'float32'

  # Leaves maps of 3 pixels, at a stride of 16, to the auxiliary heads.
  least_size: ClassVar[int] = 47

  def setup(self) -> None:
    self.conv1 = _conv(64, 7, self.dtype, stride=2)
    self.conv2_reduce = _conv(64, 1, self.dtype)
    self.conv2 = _conv(192, 3, self.dtype)
    for name, filters in _INCEPTIONS.items():
      setattr(self, name, Inception(filters, self.dtype))
    for name in _HEADS:
      head = AuxiliaryHead(self.num_classes, self.auxiliary_dropout, self.dtype)
      setattr(self, name, head)
    self.fc = _last(self.num_classes, self.dtype)
    self.norm = layers.LocalResponseNorm(k=1.0, alpha=1e-4 / 5)
    self.pool = StemPool()
    self.drop = nn.Dropout(self.dropout)

  @property
  def stage_names(self) -> list[str]:
    """`conv2` and the Inception modules."""
    return ['conv2', *_INCEPTIONS]

  @property
  def uses_dropout(self) -> bool:
    """Whether training needs a key named `dropout`."""
    return max(self.dropout, self.auxiliary_dropout) > 0

  @in_precision
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """Logits, [examples, num_classes], float32.

    Args:
      images: [examples, height, width, channels].
      train: Whether to drop out, and to sow the auxiliary heads' logits into
        the collection `auxiliary`; then pass `rngs={'dropout': key}` and
        `mutable=['auxiliary']` to `apply`.

    Raises:
      ValueError: `images` has another shape, or is below 47x47 pixels.
    """
    maps = self.features(images, train)
    # `init` makes the heads' parameters whether it is told to train or not.
    if train or self.is_initializing():
      for name, place in _HEADS.items():
        logits = getattr(self, name)(maps[place], train)
        if not self.is_initializing():
          self.sow('auxiliary', f'{name}_logits', logits)
    wide = jnp.promote_types(self.dtype, jnp.float32)
    x = maps[self.stage_names[-1]].astype(wide).mean((1, 2))
    return self.fc(self.drop(x, deterministic=not train))

  @in_precision
  def features(
    self, images: jax.Array, train: bool = False
  ) -> dict[str, jax.Array]:
    """The maps of `conv1` and of each of `stage_names`, before any pooling.

    Their strides are 2, 4, 8 (3a, 3b), 16 (4a to 4e) and 32 (5a, 5b).
    Arguments and errors are those of `__call__`; `train` changes nothing.
    """
    del train
    layers.check_images(images, self.least_size)
    x = nn.relu(self.conv1(images.astype(self.dtype)))
    outputs = {'conv1': x}
    x = nn.relu(self.conv2_reduce(self.norm(self.pool(x))))
    x = outputs['conv2'] = nn.relu(self.conv2(x))
    x = self.norm(x)
    for name in _INCEPTIONS:
      if name.endswith('a'):  # the first of its size
        x = self.pool(x)
      x = outputs[name] = getattr(self, name)(x)
    return outputs


class Inception(nn.Module):
  """1x1, 3x3 and 5x5 convolutions and pooling side by side (their Fig. 2b).

  Attributes:
    filters: A row of their Table 1: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5;
      pool proj.
    dtype: Type of the computation.
  """

  filters: tuple[int, int, int, int, int, int]
  dtype: DTypeLike = jnp.float32

  def setup(self) -> None:
    one, reduce3, three, reduce5, five, pooled = self.filters
    self.conv1 = _conv(one, 1, self.dtype)
    self.conv3_reduce = _conv(reduce3, 1, self.dtype)
    self.conv3 = _conv(three, 3, self.dtype)
    self.conv5_reduce = _conv(reduce5, 1, self.dtype)
    self.conv5 = _conv(five, 5, self.dtype)
    self.pool = layers.SamePool()
    self.pool_conv = _conv(pooled, 1, self.dtype)

  def __call__(self, x: jax.Array) -> jax.Array:
    branches = [
      self.conv1(x),
      self.conv3(nn.relu(self.conv3_reduce(x))),
      self.conv5(nn.relu(self.conv5_reduce(x))),
      self.pool_conv(self.pool(x)),
    ]
    return nn.relu(jnp.concatenate(branches, -1))


class AuxiliaryHead(nn.Module):
  """Tells the classes apart halfway, for gradients that begin there (Sec. 5).

  Attributes:
    num_classes, dtype: See `GoogLeNet`.
    dropout: Share of the hidden layer that training sets to 0.
  """

  num_classes: int
  dropout: float
  dtype: DTypeLike = jnp.float32

  def setup(self) -> None:
    self.conv = _conv(128, 1, self.dtype)
    self.hidden = layers.fully_connected(
      1024, dtype=self.dtype, init=xavier_uniform, bias=_BIAS
    )
    self.fc = _last(self.num_classes, self.dtype)
    self.drop = nn.Dropout(self.dropout)

  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Logits of maps of at least 3x3, [examples, height, width, channels]."""
    # A window that reaches beyond the map averages the part inside.
    sides = tuple((0, (5 - n) % 3) for n in x.shape[1:3])
    x = nn.avg_pool(x, (5, 5), (3, 3), sides, count_include_pad=False)
    x = nn.relu(self.conv(x))
    x = nn.relu(self.hidden(x.reshape(len(x), -1)))
    x = self.drop(x, deterministic=not train)
    return self.fc(x.astype(jnp.promote_types(self.dtype, jnp.float32)))


def _conv(
  filters: int, kernel: int, dtype: DTypeLike, stride: int = 1
) -> nn.Conv:
  return layers.conv(
    filters, kernel, dtype=dtype, init=xavier_uniform, bias=_BIAS, stride=stride
  )


def _last(num_classes: int, dtype: DTypeLike) -> nn.Dense:
  wide = jnp.promote_types(dtype, jnp.float32)
  return layers.fully_connected(num_classes, dtype=wide, init=xavier_uniform)
