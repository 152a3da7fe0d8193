"""Runs a network as a fully convolutional one, on images of many sizes at once.

Sec. 3.4 tests on whole images at several scales. The images of a batch are
padded to one size; every convolution and pooling then sees zeros outside each
image, as it would at the border of an image without padding. So each image has
the same result as alone, and only few sizes are compiled.
"""

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from resnet_jax.models.baseline_layers import SamePool
from resnet_jax.models.registry import Network
from resnet_jax.models.resnet import ResNet, StemPool


def check(model: nn.Module) -> None:
  """Checks that all layers of a network can slide over an image.

  Raises:
    ValueError: its fully-connected layers cannot.
  """
  if getattr(model, 'flattens', False):
    raise ValueError(
      'its fully-connected layers have a weight for each place of the maps, '
      'which must be of one size'
    )


def dense_logits(
  model: Network,
  variables: Any,
  images: jax.Array,
  sizes: jax.Array,
  *,
  crop: int,
) -> tuple[jax.Array, jax.Array]:
  """The classifier at every position where a crop of the image would fit.

  The network's average pooling (7x7 for a crop of 224) slides over the last
  maps, and fc follows it.

  Args:
    model: The network; BN uses its running averages.
    variables: Its params and batch_stats.
    images: float32 [examples, height, width, channels], each at the top left.
    sizes: int32 [examples, 2], height and width of each; at least `crop`.
    crop: Side of the square images that the network was trained on.

  Returns:
    Logits, float32 [examples, rows, columns, classes], and which of the
    positions lie inside their image, bool [examples, rows, columns].

  Raises:
    ValueError: the network fails `check`.
  """
  check(model)
  if isinstance(model, ResNet):
    # The masks are made where rematerialization would not let them out.
    model = model.clone(remat=False)
  sizes = jnp.asarray(sizes, jnp.int32)
  masks = _Masks(images.shape[1:3], sizes)

  def last_maps(images: jax.Array) -> jax.Array:
    maps = model.apply(variables, images, method=model.features)
    *_, last = cast(dict[str, jax.Array], maps).values()
    return last

  square = jax.ShapeDtypeStruct((1, crop, crop, images.shape[-1]), jnp.float32)
  size = jax.eval_shape(last_maps, square).shape[1]
  with nn.intercept_methods(masks.intercept):
    maps = last_maps(images)
  fc = variables['params']['fc']
  pooled = nn.avg_pool(maps.astype(fc['kernel'].dtype), (size, size))
  positions = masks.of(maps)[..., 0]
  whole = positions[:, size - 1 :, size - 1 :]  # all of the window is inside
  with jax.default_matmul_precision(model.precision):
    return pooled @ fc['kernel'] + fc['bias'], whole


class _Masks:
  """Follows the sizes of images through a network, and masks their padding.

  Maps of the same shape share a mask; strides make the shapes ever smaller.
  """

  def __init__(self, shape: tuple[int, ...], sizes: jax.Array) -> None:
    self._sizes = {shape: sizes}

  def of(self, maps: jax.Array) -> jax.Array:
    """Whether a place is in its example, bool [examples, height, width, 1]."""
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
    """Masks the input of a convolution or pooling, and notes the new sizes."""
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
