"""The two building blocks of Fig. 5, and the shortcuts of Sec. 3.3 and 4.1."""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from resnet_jax.models.initial import he_normal

# Sec. 4.1. 'A': identity, with zero channels where dimensions grow, and without
# parameters. 'B': projections where dimensions grow. 'C': every shortcut is a
# projection. None: no shortcut at all, which makes a net its plain counterpart.
Shortcut = Literal['A', 'B', 'C'] | None

# Where a bottleneck that halves the map has its stride: on the first 1x1 ('v1',
# the authors' own definitions, the only ones that give Table 1's FLOPs) or on
# the 3x3 ('v1.5', torchvision and most others).
Version = Literal['v1', 'v1.5']

Norm = Callable[..., nn.Module]


def conv(
  features: int,
  kernel: int,
  stride: int,
  dtype: DTypeLike,
  name: str | None = None,
) -> nn.Conv:
  """A bias-free convolution, padded alike on both sides.

  `SAME` would pad (0, 1) at stride 2, and so shift the result off the grid of
  the `[::2, ::2]` shortcut that is added to it.
  """
  return nn.Conv(
    features,
    (kernel, kernel),
    strides=stride,
    padding=kernel // 2,
    use_bias=False,
    dtype=dtype,
    param_dtype=jnp.promote_types(dtype, jnp.float32),
    kernel_init=he_normal,
    conv_general_dilated=_convolve,
    name=name,
  )


def norm_relu(norm: nn.Module, x: jax.Array, train: bool) -> jax.Array:
  """relu(norm(x)), which is one step in training, see `GroupedBatchNorm`.

  Where outputs of modules are captured, that of `norm` is the one before the
  ReLU, as Fig. 7 shows it.
  """
  if train and not norm.is_mutable_collection('intermediates'):
    return norm(x, use_running_average=False, relu=True)
  return nn.relu(norm(x, use_running_average=not train))


@jax.custom_vjp
def relu(x: jax.Array) -> jax.Array:
  """ReLU, whose gradient reads its result and not the sum it was made of.

  The result is kept in memory. XLA:CPU would compute it once more for each of
  its readers, and with it the results of all blocks before it, on which it
  depends through the shortcuts.
  """
  return jax.lax.optimization_barrier(nn.relu(x))


def _relu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  y = relu(x)
  return y, y


def _relu_backward(y: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
  return (jnp.where(y != 0, dy, 0),)


relu.defvjp(_relu_forward, _relu_backward)


def shortcut_branch(
  x: jax.Array,
  filters: int,
  stride: int,
  *,
  shortcut: Literal['A', 'B', 'C'],
  norm: Norm,
  train: bool,
) -> jax.Array:
  """`x` in the shape of the residual that is added to it (Sec. 3.3).

  Call this inside a compact module: a projection adds `shortcut_conv` and
  `shortcut_bn` to that module.
  """
  grows = stride != 1 or x.shape[-1] != filters
  if shortcut == 'C' or (shortcut == 'B' and grows):
    y = conv(filters, 1, stride, x.dtype, 'shortcut_conv')(x)
    return norm(name='shortcut_bn')(y, use_running_average=not train)
  if not grows:
    return x
  extra = filters - x.shape[-1]
  return jnp.pad(x[:, ::stride, ::stride], ((0, 0),) * 3 + ((0, extra),))


class BasicBlock(nn.Module):
  """Two 3x3 convolutions (Fig. 5, left; Table 1, 18 and 34 layers).

  Attributes:
    filters: Output channels.
    stride: Stride of the first convolution.
    shortcut: 'A', 'B', 'C', or None for a plain block.
    norm: Makes a normalization module from `name` and `scale_init`.
    zero_init_residual: Whether the last BN scale starts at 0 (not the paper's).
    dtype: Type of the computation.
  """

  filters: int
  stride: int
  shortcut: Shortcut
  norm: Norm
  zero_init_residual: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    y = conv(self.filters, 3, self.stride, self.dtype, 'conv1')(x)
    y = norm_relu(self.norm(name='bn1'), y, train)
    y = conv(self.filters, 3, 1, self.dtype, 'conv2')(y)
    last = self.norm(name='bn2', scale_init=_last_scale(self))
    y = last(y, use_running_average=not train)
    return _add_shortcut(self, x, y, train)

  @property
  def out_channels(self) -> int:
    return self.filters


class BottleneckBlock(nn.Module):
  """1x1, 3x3, 1x1 convolutions (Fig. 5, right; 50 and more layers).

  Attributes:
    filters: Channels of the first two convolutions; the third has four times
      as many.
    version: Which convolution has the stride, see `Version`.
    stride, shortcut, norm, zero_init_residual, dtype: See `BasicBlock`.
  """

  filters: int
  stride: int
  shortcut: Shortcut
  norm: Norm
  version: Version = 'v1'
  zero_init_residual: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    first, second = (
      (self.stride, 1) if self.version == 'v1' else (1, self.stride)
    )
    y = conv(self.filters, 1, first, self.dtype, 'conv1')(x)
    y = norm_relu(self.norm(name='bn1'), y, train)
    y = conv(self.filters, 3, second, self.dtype, 'conv2')(y)
    y = norm_relu(self.norm(name='bn2'), y, train)
    y = conv(self.out_channels, 1, 1, self.dtype, 'conv3')(y)
    last = self.norm(name='bn3', scale_init=_last_scale(self))
    y = last(y, use_running_average=not train)
    return _add_shortcut(self, x, y, train)

  @property
  def out_channels(self) -> int:
    return 4 * self.filters


def _convolve(x: jax.Array, kernel: jax.Array, *args: Any, **kw: Any) -> Any:
  """A convolution that reads `x` as an array in memory.

  The gradient of the weights reads `x` in another order. XLA:CPU would compute
  the BN and the ReLU before it once more there, in that order, which takes
  longer than the gradient. On a GPU the barrier changes no kernel.
  """
  x = jax.lax.optimization_barrier(x)
  return jax.lax.conv_general_dilated(x, kernel, *args, **kw)


def _last_scale(
  block: BasicBlock | BottleneckBlock,
) -> nn.initializers.Initializer:
  initializers = nn.initializers
  return initializers.zeros if block.zero_init_residual else initializers.ones


def _add_shortcut(
  block: BasicBlock | BottleneckBlock,
  x: jax.Array,
  residual: jax.Array,
  train: bool,
) -> jax.Array:
  """relu(F(x) + x), Eqs. 1 and 2; relu(F(x)) in a plain block."""
  if block.shortcut is None:
    return relu(residual)
  branch = shortcut_branch(
    x,
    block.out_channels,
    block.stride,
    shortcut=block.shortcut,
    norm=block.norm,
    train=train,
  )
  return relu(residual + branch)
