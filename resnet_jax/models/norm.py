"""Batch normalization whose statistics do not depend on the device count.

  norm = GroupedBatchNorm(group_size=64, axis_name='batch')
  y = norm(x, use_running_average=False)

The paper trains on several GPUs and normalizes over each GPU's share: 64
examples for CIFAR-10 (128 on two GPUs), 32 for ImageNet (256 on eight). The
group is part of the recipe, so it is stated here, and not left to the machine
at hand: examples 0..g-1 of the global batch are one group, and so on.
"""

import dataclasses
import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


class GroupedBatchNorm(nn.Module):
  """Batch normalization (Ioffe & Szegedy 2015) over groups of examples.

  Attributes:
    group_size: Examples whose statistics are pooled; 0 pools the whole batch,
      over all devices of `axis_name`. It must divide the global batch, and be a
      multiple or a divisor of a device's share.
    axis_name: The pmap axis that the batch is split over; None on one device.
    momentum: Share of the old running average that an update keeps. 0.9 is
      PyTorch's 0.1. The running variance is the biased one, averaged over the
      groups.
    epsilon: Number that is added to the variance.
    dtype: Type of the result. Statistics are float32, or float64 if this is.
    scale_init: Initializer of the scale.
  """

  group_size: int = 0
  axis_name: str | None = None
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: DTypeLike = jnp.float32
  scale_init: nn.initializers.Initializer = nn.initializers.ones

  @nn.compact
  def __call__(
    self, x: jax.Array, *, use_running_average: bool, relu: bool = False
  ) -> jax.Array:
    """Normalizes `x`, [examples, height, width, channels], per channel.

    Args:
      x: The maps.
      use_running_average: Whether to normalize by the running averages, as in
        tests, and not by the batch's statistics.
      relu: Whether a ReLU follows, which costs no pass of its own here.

    Raises:
      ValueError: the batch cannot be split into groups of `group_size`.
    """
    shape = (x.shape[-1],)
    wide = jnp.promote_types(self.dtype, jnp.float32)
    scale = self.param('scale', self.scale_init, shape, wide)
    bias = self.param('bias', nn.initializers.zeros, shape, wide)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, shape, wide)
    running_var = self.variable('batch_stats', 'var', jnp.ones, shape, wide)

    if use_running_average:
      mean, var = running_mean.value, running_var.value
      y = _normalize(x.astype(wide), mean, var, self.epsilon, scale, bias)
      y = y.astype(self.dtype)
      return nn.relu(y) if relu else y

    if self.is_initializing():  # one example is enough, and no axis is bound
      groups, across = 1, None
    else:
      groups, across = self._grouping(x.shape[0])

    rule = _Rule(self.axis_name, across, self.epsilon, relu, self.dtype)
    grouped = x.reshape(groups, -1, *x.shape[1:])
    y, (mean, var) = _normalize_groups(rule, grouped, scale, bias)
    if not self.is_initializing():
      batch_mean, batch_var = mean.mean(0), var.mean(0)
      if self.axis_name is not None:
        batch_mean, batch_var = jax.lax.pmean(
          (batch_mean, batch_var), self.axis_name
        )
      keep = self.momentum
      running_mean.value = keep * running_mean.value + (1 - keep) * batch_mean
      running_var.value = keep * running_var.value + (1 - keep) * batch_var
    return y.reshape(x.shape)

  def _grouping(self, share: int) -> tuple[int, list[list[int]] | None]:
    """Groups inside this device's share, and the devices that pool theirs."""
    devices = 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
    batch = share * devices
    size = self.group_size or batch
    if batch % size:
      raise ValueError(
        f'a batch of {batch} examples cannot be split into BN groups of '
        f'{size}; use a multiple of {size}, or a bn_group_size that divides '
        f'{batch} (0: the whole batch is one group)'
      )
    if size <= share:
      if share % size:
        raise ValueError(_misfit(size, share))
      return share // size, None
    if size % share:
      raise ValueError(_misfit(size, share))
    span = size // share
    return 1, [list(range(i, i + span)) for i in range(0, devices, span)]


@dataclasses.dataclass(frozen=True)
class _Rule:
  """The normalization of groups, but for its arrays.

  Attributes:
    axis_name: The pmap axis of the devices.
    across: The devices that share each group; None where none do.
    epsilon: Number that is added to the variance.
    relu: Whether negative results become 0.
    dtype: Type of the result.
  """

  axis_name: str | None
  across: list[list[int]] | None
  epsilon: float
  relu: bool
  dtype: DTypeLike

  def pool(self, means: Any) -> Any:
    """The mean over the devices that share a group."""
    if self.across is None:
      return means
    return jax.lax.pmean(means, self.axis_name, axis_index_groups=self.across)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _normalize_groups(
  rule: _Rule, x: jax.Array, scale: jax.Array, bias: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  """Normalizes each group of `x` by its own statistics.

  The gradient is written out, as Ioffe & Szegedy have it, so that it passes
  over the maps twice: once for two sums, and once for its result. The mask of
  the ReLU is computed anew from `x`, which both passes read in any case.

  Args:
    rule: How.
    x: [groups, examples, height, width, channels].
    scale, bias: [channels].

  Returns:
    The result, and each group's mean and biased variance, [groups, channels],
    through which no gradient flows.
  """
  return _forward(rule, x, scale, bias)[0]


def _forward(
  rule: _Rule, x: jax.Array, scale: jax.Array, bias: jax.Array
) -> Any:
  wide = x.astype(scale.dtype)
  axes = tuple(range(1, x.ndim - 1))
  count = math.prod(x.shape[1:-1])
  sums = _two_sums(wide, jnp.square(wide), axes)
  mean, square = rule.pool(jax.tree.map(lambda s: s / count, sums))
  var = jnp.maximum(square - jnp.square(mean), 0)
  y = _normalize(
    wide, _spread(mean, x), _spread(var, x), rule.epsilon, scale, bias
  )
  y = nn.relu(y) if rule.relu else y
  return (y.astype(rule.dtype), (mean, var)), (x, mean, var, scale, bias)


def _backward(
  rule: _Rule, kept: tuple[jax.Array, ...], cotangents: tuple[jax.Array, Any]
) -> tuple[jax.Array, jax.Array, jax.Array]:
  x, mean, var, scale, bias = kept
  axes = tuple(range(1, x.ndim - 1))
  count = math.prod(x.shape[1:-1])
  rate = jax.lax.rsqrt(var + rule.epsilon)

  def normalized(x: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`x` before scale and bias, and `dy` behind the ReLU."""
    centered = x.astype(scale.dtype) - _spread(mean, x)
    if rule.relu:
      y = centered * _spread(rate * scale, x) + bias
      dy = jnp.where(y > 0, dy, 0)
    return centered * _spread(rate, x), dy.astype(scale.dtype)

  normal, dy = normalized(x, cotangents[0])
  # Two reductions, which XLA joins with the mask of the ReLU behind a shortcut.
  dy_sum = dy.sum(axes)

  def on_cpu(x: jax.Array, dy: jax.Array, normal: jax.Array) -> jax.Array:
    """Mean and rate come after the sum: XLA:CPU would write maps of them."""
    return rate * ((dy * x.astype(dy.dtype)).sum(axes) - mean * dy_sum)

  def elsewhere(x: jax.Array, dy: jax.Array, normal: jax.Array) -> jax.Array:
    return (dy * normal).sum(axes)

  dy_slope_sum = jax.lax.platform_dependent(
    x, dy, normal, cpu=on_cpu, default=elsewhere
  )
  sums = dy_sum, dy_slope_sum
  # Behind a barrier XLA computes `normalized` again, and keeps it nowhere.
  x, dy, sums = jax.lax.optimization_barrier((x, cotangents[0], sums))
  normal, dy = normalized(x, dy)
  means = rule.pool(jax.tree.map(lambda s: s / count, sums))
  dy_mean, dy_slope = (_spread(m, x) for m in means)
  dx = _spread(rate * scale, x) * (dy - dy_mean - normal * dy_slope)
  return dx.astype(x.dtype), sums[1].sum(0), sums[0].sum(0)


_normalize_groups.defvjp(_forward, _backward)


def _two_sums(
  a: jax.Array, b: jax.Array, axes: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
  """The sums of two arrays of one shape, in one reduction on a GPU.

  On a CPU such a reduction is slower than two.
  """
  zero = jnp.zeros((), a.dtype)

  def together(a: jax.Array, b: jax.Array) -> Any:
    return jax.lax.reduce(
      (a, b), (zero, zero), lambda p, q: (p[0] + q[0], p[1] + q[1]), axes
    )

  def apart(a: jax.Array, b: jax.Array) -> Any:
    return a.sum(axes), b.sum(axes)

  return jax.lax.platform_dependent(a, b, cpu=apart, default=together)


def _normalize(
  x: jax.Array,
  mean: jax.Array,
  var: jax.Array,
  epsilon: float,
  scale: jax.Array,
  bias: jax.Array,
) -> jax.Array:
  return (x - mean) * (jax.lax.rsqrt(var + epsilon) * scale) + bias


def _spread(values: jax.Array, x: jax.Array) -> jax.Array:
  """[groups, channels] in a shape that broadcasts over `x`."""
  return jnp.expand_dims(values, tuple(range(1, x.ndim - 1)))


def _misfit(size: int, share: int) -> str:
  return (
    f'BN groups of {size} examples do not fit devices that hold {share} each: '
    f'one must be a multiple of the other'
  )
