"""Batch normalization whose statistics do not depend on the device count.

  norm = GroupedBatchNorm(group_size=64, axis_name='batch')
  y = norm(x, use_running_average=False)

The paper trains on several GPUs and normalizes over each GPU's share: 64
examples for CIFAR-10 (128 on two GPUs), 32 for ImageNet (256 on eight). The
group is part of the recipe, so it is stated here, and not left to the machine
at hand: examples 0..g-1 of the global batch are one group, and so on.
"""

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
  def __call__(self, x: jax.Array, *, use_running_average: bool) -> jax.Array:
    """Normalizes `x`, [examples, height, width, channels], per channel.

    Raises:
      ValueError: the batch cannot be split into groups of `group_size`.
    """
    shape = (x.shape[-1],)
    wide = jnp.promote_types(self.dtype, jnp.float32)
    scale = self.param('scale', self.scale_init, shape, wide)
    bias = self.param('bias', nn.initializers.zeros, shape, wide)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, shape, wide)
    running_var = self.variable('batch_stats', 'var', jnp.ones, shape, wide)

    x = x.astype(wide)
    if use_running_average:
      mean, var = running_mean.value, running_var.value
      return self._normalize(x, mean, var, scale, bias)

    if self.is_initializing():  # one example is enough, and no axis is bound
      groups, across = 1, None
    else:
      groups, across = self._grouping(x.shape[0])
    grouped = x.reshape(groups, -1, *x.shape[1:])
    axes = tuple(range(1, grouped.ndim - 1))
    mean, square = grouped.mean(axes), jnp.square(grouped).mean(axes)
    if across is not None:
      mean, square = jax.lax.pmean(
        (mean, square), self.axis_name, axis_index_groups=across
      )
    var = jnp.maximum(square - jnp.square(mean), 0)

    if not self.is_initializing():
      batch_mean, batch_var = mean.mean(0), var.mean(0)
      if self.axis_name is not None:
        batch_mean, batch_var = jax.lax.pmean(
          (batch_mean, batch_var), self.axis_name
        )
      keep = self.momentum
      running_mean.value = keep * running_mean.value + (1 - keep) * batch_mean
      running_var.value = keep * running_var.value + (1 - keep) * batch_var

    ones = (1,) * (x.ndim - 2)
    mean, var = (s.reshape(groups, 1, *ones, -1) for s in (mean, var))
    y = self._normalize(grouped, mean, var, scale, bias)
    return y.reshape(x.shape)

  def _normalize(
    self,
    x: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
  ) -> jax.Array:
    y = (x - mean) * (jax.lax.rsqrt(var + self.epsilon) * scale) + bias
    return y.astype(self.dtype)

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


def _misfit(size: int, share: int) -> str:
  return (
    f'BN groups of {size} examples do not fit devices that hold {share} each: '
    f'one must be a multiple of the other'
  )
