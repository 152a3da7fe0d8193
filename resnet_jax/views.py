"""The paper's tests: which views of an image are scored (Sec. 3.4, 4.1).

Scores are probabilities, averaged over the views of an image; they are kept as
logarithms, which lose nothing where they are small.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.views import Views
from resnet_jax.models import ResNet
from resnet_jax.models.dense import dense_logits


def log_probabilities(
  model: ResNet,
  variables: dict[str, Any],
  images: jax.Array,
  sizes: jax.Array,
  views: Views,
) -> jax.Array:
  """The log of each example's probabilities, averaged over its views.

  Args:
    model: any network of `models`.
    variables: its params and batch_stats, and the normalization.
    images: uint8 [examples, crops, height, width, channels].
    sizes: int32 [examples, 2], height and width; read where views are dense.
    views: which.

  Returns:
    float32 [examples, classes].
  """
  net = {k: variables[k] for k in ('params', 'batch_stats')}
  examples, crops = images.shape[:2]
  images = images.reshape(-1, *images.shape[2:])
  if views.name == 'dense':
    dense = functools.partial(
      _dense, model, net, variables['normalization'], crop=views.crop
    )
    whole = dense(images, sizes)
    flipped = _flip_inside(images, sizes[:, 1])
    flipped = dense(flipped, sizes)
    return log_mean_exp(jnp.stack([whole, flipped], 1), 1)
  images = variables['normalization'](images)
  if views.name == 'ten_crop':
    images = jnp.concatenate([images, images[:, :, ::-1]])
  scores = jax.nn.log_softmax(model.apply(net, images))
  scores = scores.reshape(-1, examples, crops, scores.shape[-1])
  return log_mean_exp(scores, (0, 2))


def log_mean_exp(
  x: jax.Array, axes: int | tuple[int, ...], where: jax.Array | None = None
) -> jax.Array:
  """log(mean(exp(x))) over `axes`, of those `where` says."""
  if where is None:
    where = jnp.ones_like(x, bool)
  total = jax.nn.logsumexp(x, axes, where=where)
  return total - jnp.log(where.sum(axes))


def _dense(
  model: ResNet,
  net: dict[str, Any],
  normalization: Normalization,
  images: jax.Array,
  sizes: jax.Array,
  *,
  crop: int,
) -> jax.Array:
  """Averaged over positions; images as in `dense_logits`, but uint8."""
  # No pixel of a mean image belongs to those of a larger one.
  if normalization.mean.ndim == 3:
    mean = normalization.mean.mean((0, 1))
    normalization = normalization.replace(mean=mean)
  logits, inside = dense_logits(
    model, net, normalization(images), sizes, crop=crop
  )
  inside = jnp.broadcast_to(inside[..., None], logits.shape)
  return log_mean_exp(jax.nn.log_softmax(logits), (1, 2), inside)


def _flip_inside(images: jax.Array, widths: jax.Array) -> jax.Array:
  """Mirrors each image, which stays at the left of its padding."""
  columns = jnp.arange(images.shape[2])
  mirrored = jnp.maximum(widths[:, None] - 1 - columns, 0)
  return jax.vmap(lambda image, index: image[:, index])(images, mirrored)
