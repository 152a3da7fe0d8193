"""Layers of the networks from before batch normalization.

Convolutions and fully-connected layers have biases, because no BN adds them.
Nothing here depends on other examples of the batch.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Initializer = nn.initializers.Initializer


def conv(
  filters: int,
  kernel: int,
  *,
  dtype: DTypeLike,
  init: Initializer,
  bias: float = 0.0,
  stride: int = 1,
  padding: int | None = None,
  groups: int = 1,
) -> nn.Conv:
  """A convolution with biases.

  Args:
    filters: Output channels.
    kernel: Height and width of the window.
    dtype: Type of the computation.
    init: Initializer of the weights.
    bias: Value that all biases start from.
    stride: Stride of the window.
    padding: Pixels of zeros on each side; None pads half the window.
    groups: Parts of the channels that do not see one another.
  """
  return nn.Conv(
    filters,
    (kernel, kernel),
    strides=stride,
    padding=kernel // 2 if padding is None else padding,
    feature_group_count=groups,
    dtype=dtype,
    param_dtype=jnp.promote_types(dtype, jnp.float32),
    kernel_init=init,
    bias_init=nn.initializers.constant(bias),
  )


def fully_connected(
  features: int, *, dtype: DTypeLike, init: Initializer, bias: float = 0.0
) -> nn.Dense:
  """A fully-connected layer; arguments as in `conv`."""
  return nn.Dense(
    features,
    dtype=dtype,
    param_dtype=jnp.promote_types(dtype, jnp.float32),
    kernel_init=init,
    bias_init=nn.initializers.constant(bias),
  )


class LocalResponseNorm(nn.Module):
  """Divides by the activity of neighbouring channels.

    b_c = a_c / (k + alpha * sum of a_j^2 over |j - c| <= size // 2)^beta

  The formula is in Krizhevsky et al. 2012, Sec. 3.3. Caffe divides alpha by the
  size, and has k = 1.

  Attributes:
    k, alpha, beta: Numbers of the formula.
    size: Channels in the sum, odd; fewer at the first and the last channels.
  """

  k: float = 2.0
  alpha: float = 1e-4
  beta: float = 0.75
  size: int = 5

  def __call__(self, x: jax.Array) -> jax.Array:
    """Normalizes `x`, [..., channels]; computes in float32 at least."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    sides = ((0, 0),) * (x.ndim - 1) + ((self.size // 2,) * 2,)
    squares = jnp.pad(jnp.square(wide), sides)
    # A few shifted additions fuse into one pass; a window sum does not.
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(self.size))
    return (wide * (self.k + self.alpha * total) ** -self.beta).astype(x.dtype)


class SamePool(nn.Module):
  """3x3 max-pooling of stride 1 that keeps the size of the maps."""

  def __call__(self, x: jax.Array) -> jax.Array:
    """Pools `x`, [examples, height, width, channels]."""
    return nn.max_pool(x, (3, 3), padding=((1, 1), (1, 1)))


def check_images(images: jax.Array, least: int) -> None:
  """Checks that these are a batch of images of at least `least` pixels a side.

  Raises:
    ValueError: they are not; the message names the shape that they need.
  """
  if images.ndim != 4:
    raise ValueError(
      'images must be [examples, height, width, channels]; '
      f'their shape is {images.shape}'
    )
  height, width = images.shape[1:3]
  if min(height, width) < least:
    raise ValueError(
      f'images are {height}x{width}, of which the poolings leave nothing; this '
      f'network needs at least {least}x{least} pixels'
    )
