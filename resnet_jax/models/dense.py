"""A network as a fully convolutional one, on images of many sizes at once.

Sec. 3.4 tests on whole images at several scales. Images of one batch are padded
to one size; every convolution and pooling then sees zeros outside of each
image, as it would at the border of an image that was not padded. The result is
that of each image alone, so that few sizes are compiled for images of any.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from resnet_jax.models.baseline_layers import SamePool
from resnet_jax.models.googlenet import GoogLeNet
from resnet_jax.models.resnet import ResNet, StemPool


def check(model: nn.Module) -> None:
  """Refuses a network whose layers cannot all slide over an image.

  Raises:
    ValueError: the network is such.
  """
  if getattr(model, 'flattens', False):
    raise ValueError(
      'its fully-connected layers have a weight for each place of the maps, '
      'which must be of one size'
    )


def dense_logits(
  model: ResNet | GoogLeNet,
  variables: Any,
  images: jax.Array,
  sizes: jax.Array,
  *,
  crop: int,
) -> tuple[jax.Array, jax.Array]:
  """The classifier at every position where a crop of the image would fit.

  The average pooling of the network on a crop slides over the last maps (7x7
  for a crop of 224), with fc behind it.

  Args:
    model: normalizes with its running averages.
    variables: its params and batch_stats.
    images: float32 [examples, height, width, channels], each at the top left.
    sizes: int32 [examples, 2], height and width of each; at least `crop`.
    crop: size of the square images that the network was trained on.

  Returns:
    Logits, float32 [examples, rows, columns, classes], and which of the
    positions lie inside their image, bool [examples, rows, columns].

  Raises:
    ValueError: as `check`.
  """
  check(model)
  if isinstance(model, ResNet):
    # The masks are made where rematerialization would not let them out.
    model = model.clone(remat=False)
  sizes = jnp.asarray(sizes, jnp.int32)
  masks = _Masks(images.shape[1:3], sizes)

  def last_maps(images: jax.Array) -> jax.Array:
    maps = model.apply(variables, images, method=model.features)
    return maps[model.stage_names[-1]]

  square = jax.ShapeDtypeStruct((1, crop, crop, images.shape[-1]), jnp.float32)
  size = jax.eval_shape(last_maps, square).shape[1]
  with nn.intercept_methods(masks.intercept):
    maps = last_maps(images)
  fc = variables['params']['fc']
  pooled = nn.avg_pool(maps.astype(fc['kernel'].dtype), (size, size))
  positions = masks.of(maps)[..., 0]
  whole = positions[:, size - 1 :, size - 1 :]  # all of the window is inside
  return pooled @ fc['kernel'] + fc['bias'], whole


class _Masks:
  """Follows the sizes of images through a network, and masks what it pads.

  Maps of one shape have one mask; strides make the shapes ever smaller.
  """

  def __init__(self, shape: tuple[int, int], sizes: jax.Array) -> None:
    self._sizes = {tuple(shape): sizes}

  def of(self, maps: jax.Array) -> jax.Array:
    """1 inside of each example, bool [examples, height, width, 1]."""
    height, width = maps.shape[1:3]
    sizes = self._sizes[height, width]
    rows = jnp.arange(height) < sizes[:, :1]
    columns = jnp.arange(width) < sizes[:, 1:]
    return (rows[:, :, None] & columns[:, None, :])[..., None]

  def intercept(
    self,
    call: Callable[..., jax.Array],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> jax.Array:
    """Masks what a convolution or pooling sees; notes the size it returns."""
    module = context.module
    spatial = isinstance(module, nn.Conv | StemPool | SamePool)
    if not spatial or context.method_name != '__call__':
      return call(*arguments, **keywords)
    x = arguments[0]
    # After ReLU, zeros are neutral to a maximum, too.
    y = call(jnp.where(self.of(x), x, 0), *arguments[1:], **keywords)
    sizes = self._sizes[x.shape[1:3]]
    if isinstance(module, StemPool) and module.padding == 'ceil':
      sizes = sizes // 2
    elif isinstance(module, StemPool):
      sizes = (sizes + 1) // 2
    elif isinstance(module, nn.Conv):  # padded alike on both sides, as SamePool
      stride = module.strides if isinstance(module.strides, int) else 1
      sizes = (sizes - 1) // stride + 1
    self._sizes[y.shape[1:3]] = sizes
    return y
