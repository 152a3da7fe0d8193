"""One module for every network of the paper: residual or plain, any depth.

The tree of variables reads like Table 1 and is the checkpoint format:
`conv1`, `bn1`, `conv2_x/block1/conv1` ... `conv5_x/block3/bn3`, `fc`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from resnet_jax.models import blocks
from resnet_jax.models.initial import he_normal
from resnet_jax.models.norm import GroupedBatchNorm
from resnet_jax.models.pooling import max_pool
from resnet_jax.models.precision import Precision, in_precision


class ResNet(nn.Module):
  """A residual network, or its plain counterpart (Sec. 3.3, 4.1 and 4.2).

  Attributes:
    stage_sizes: Blocks of each stage (Table 1's brackets).
    filters: Filters c of each stage: 64, 128, 256, 512 or 16, 32, 64. The
      output of a bottleneck has 4c channels.
    num_classes: Size of the last fully-connected layer.
    stem: 'imagenet': 7x7/2 and 3x3/2 max-pooling (Table 1); 'cifar': 3x3
      (Sec. 4.2).
    stem_pool: 'ceil' (the authors') or 'padded' (torchvision's), see
      `StemPool`; ImageNet's stem only.
    bottleneck: Whether blocks are `BottleneckBlock`, and not `BasicBlock`.
    shortcut: 'A', 'B' or 'C' (Sec. 4.1); None makes the plain net.
    version: 'v1' (the paper's) or 'v1.5', see `blocks.Version`; bottleneck nets
      only.
    bn_group_size: Examples that share BN statistics, see `GroupedBatchNorm`; 0
      takes the whole batch.
    bn_momentum: Share of the old running averages that a step keeps.
    axis_name: The pmap axis that the batch is split over; None on one device.
    zero_init_residual: Whether each block's last BN scale starts at 0 (Goyal et
      al. 2017; not the paper's).
    remat: Whether the backward pass recomputes each block to save memory.
    frozen_stages: Number of stages, from the input, that stay as they are: 1 is
      the stem, 2 the stem and conv2_x, ... No gradient reaches them, and their
      BN uses its running averages.
    frozen_bn: Whether all BN uses its running averages.
    dtype: Type of the computation: float32, bfloat16 (or float64). Parameters,
      BN statistics and logits are float32 (or float64).
    precision: Precision of float32 products, see `precision.Precision`.
  """

  stage_sizes: Sequence[int]
  filters: Sequence[int]
  num_classes: int
  stem: Literal['imagenet', 'cifar']
  stem_pool: Literal['ceil', 'padded'] = 'ceil'
  bottleneck: bool = False
  shortcut: blocks.Shortcut = 'A'
  version: blocks.Version = 'v1'
  bn_group_size: int = 0
  bn_momentum: float = 0.9
  axis_name: str | None = None
  zero_init_residual: bool = False
  remat: bool = False
  frozen_stages: int = 0
  frozen_bn: bool = False
  dtype: DTypeLike = jnp.float32
  precision: Precision = 'float32'

  def setup(self) -> None:
    norm = functools.partial(
      GroupedBatchNorm,
      group_size=self.bn_group_size,
      axis_name=self.axis_name,
      momentum=self.bn_momentum,
      dtype=self.dtype,
    )
    kind: Callable[..., nn.Module] = blocks.BasicBlock
    if self.bottleneck:
      kind = functools.partial(blocks.BottleneckBlock, version=self.version)
    block = functools.partial(
      kind,
      shortcut=self.shortcut,
      norm=norm,
      zero_init_residual=self.zero_init_residual,
      dtype=self.dtype,
    )
    kernel, stride = (7, 2) if self.stem == 'imagenet' else (3, 1)
    self.conv1 = blocks.conv(self.filters[0], kernel, stride, self.dtype)
    self.bn1 = norm()
    if self.stem == 'imagenet':
      self.pool = StemPool(self.stem_pool)
    for index, name in enumerate(self.stage_names):
      stage = Stage(
        block=block,
        size=self.stage_sizes[index],
        filters=self.filters[index],
        # Table 1: conv2_x keeps the stem's resolution, the others halve it.
        stride=1 if index == 0 else 2,
        remat=self.remat,
      )
      setattr(self, name, stage)
    wide = jnp.promote_types(self.dtype, jnp.float32)
    self.fc = nn.Dense(
      self.num_classes,
      dtype=wide,
      param_dtype=wide,
      kernel_init=he_normal,
    )

  @property
  def stage_names(self) -> list[str]:
    """`conv2_x`, `conv3_x`, ... as in Table 1."""
    return [f'conv{i}_x' for i in range(2, 2 + len(self.stage_sizes))]

  @in_precision
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """Logits, [examples, num_classes], float32.

    Args:
      images: [examples, height, width, channels], any size and channel count.
      train: Whether to normalize with the batch's statistics and update the
        running ones; then pass `mutable=['batch_stats']` to `apply`.

    Raises:
      ValueError: `images` has another shape or is too small for the stem, or
        its batch does not fit `bn_group_size`.
    """
    maps = self.features(images, train)[self.stage_names[-1]]
    wide = jnp.promote_types(self.dtype, jnp.float32)
    return self.fc(maps.astype(wide).mean((1, 2)))

  @in_precision
  def features(
    self, images: jax.Array, train: bool = False
  ) -> dict[str, jax.Array]:
    """The maps of the stem (`conv1`, before any pooling) and of each stage.

    Their strides are 2, 4, 8, 16 and 32 with ImageNet's stem, and 1, 1, 2 and 4
    with CIFAR's. Arguments and errors are those of `__call__`.
    """
    if images.ndim != 4:
      raise ValueError(
        'images must be [examples, height, width, channels]; '
        f'their shape is {images.shape}'
      )
    train = train and not self.frozen_bn
    x = self.conv1(images.astype(self.dtype))
    moving = train and self.frozen_stages < 1
    x = self._frozen_at(1, blocks.norm_relu(self.bn1, x, moving))
    outputs = {'conv1': x}
    if self.stem == 'imagenet':
      x = self.pool(x)
    for number, name in enumerate(self.stage_names, 2):
      x = getattr(self, name)(x, train and self.frozen_stages < number)
      x = outputs[name] = self._frozen_at(number, x)
    return outputs

  def _frozen_at(self, stage: int, x: jax.Array) -> jax.Array:
    return jax.lax.stop_gradient(x) if stage == self.frozen_stages else x


class Stage(nn.Module):
  """Blocks at one resolution.

  Attributes:
    block: Makes a block from its filters, its stride and a `name`.
    size: Number of blocks.
    filters: Filters c of each block.
    stride: Stride of the first block; that of the others is 1.
    remat: Whether the backward pass recomputes each block.
  """

  block: functools.partial[nn.Module]
  size: int
  filters: int
  stride: int
  remat: bool

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    block = self.block
    if self.remat:  # argument 2 is `train`, after `self` and `x`
      rematerialized = nn.remat(block.func, static_argnums=(2,))
      block = functools.partial(rematerialized, *block.args, **block.keywords)
    for i in range(self.size):
      stride = self.stride if i == 0 else 1
      x = block(self.filters, stride, name=f'block{i + 1}')(x, train)
    return x


class StemPool(nn.Module):
  """3x3 max-pooling of stride 2 (Table 1).

  Attributes:
    padding: With 'ceil', the authors' definition, nothing is padded and the
      output size is rounded up. With 'padded', as in torchvision, each side is
      padded by a pixel and the size is rounded down, which shifts every window
      by one; torchvision's weights need it. On the 112x112 map of a 224x224
      image both give 56x56.
  """

  padding: Literal['ceil', 'padded'] = 'ceil'

  def __call__(self, x: jax.Array) -> jax.Array:
    """Pools `x`, [examples, height, width, channels].

    Raises:
      ValueError: the map is below 2x2, so that no window starts in it.
    """
    if min(x.shape[1:3]) < 2:
      raise ValueError(
        f"the stem's maps are {x.shape[1]}x{x.shape[2]}, too small to pool; "
        f'images for this network need at least 3x3 pixels'
      )
    sides: Sequence[tuple[int, int]]
    if self.padding == 'padded':
      sides = ((1, 1), (1, 1))
    else:
      # ceil((n - 3) / 2) + 1 windows: an even n lacks one row, an odd n none.
      sides = tuple((0, 1 - n % 2) for n in x.shape[1:3])
    return max_pool(x, sides)


def frozen_params(model: Any) -> Callable[[tuple[str, ...]], bool] | None:
  """Which parameters a network keeps as they are, by their path.

  Returns:
    A predicate over paths such as ('conv1', 'kernel'); None trains all.
  """
  resnet = isinstance(model, ResNet)  # others have nothing to freeze
  if not resnet or not (model.frozen_stages or model.frozen_bn):
    return None
  stages = [('conv1', 'bn1'), *((name,) for name in model.stage_names)]
  names = sum(stages[: model.frozen_stages], ())

  def frozen(path: tuple[str, ...]) -> bool:
    norm = path[-1] == 'scale' or (path[-1] == 'bias' and path[0] != 'fc')
    return path[0] in names or (model.frozen_bn and norm)

  return frozen
