"""The paper's tests: scores of the views of an image (Sec. 3.4, 4.1).

Scores are probabilities, averaged over the views of an image; they are kept as
logarithms, which lose nothing where they are small.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.views import Views
from resnet_jax.models import Network
from resnet_jax.models.dense import dense_logits


def log_probabilities(
  model: Network,
  variables: dict[str, Any],
  images: jax.Array,
  sizes: jax.Array,
  views: Views,
) -> jax.Array:
  """The log of each example's probabilities, averaged over its views.

  Args:
    model: Any network of `models`.
    variables: Its params and batch_stats, and the normalization.
    images: uint8 [examples, crops, height, width, channels].
    sizes: int32 [examples, 2], height and width; read where views are dense.
    views: The views to average over.

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
  logits: Any = model.apply(net, images)
  scores = jax.nn.log_softmax(logits)
  scores = scores.reshape(-1, examples, crops, scores.shape[-1])
  return log_mean_exp(scores, (0, 2))


def log_mean_exp(
  x: jax.Array, axes: int | tuple[int, ...], where: jax.Array | None = None
) -> jax.Array:
  """log(mean(exp(x))) over `axes`, where `where` is true."""
  if where is None:
    where = jnp.ones_like(x, bool)
  total = jax.nn.logsumexp(x, axes, where=where)
  return total - jnp.log(where.sum(axes))


def _dense(
  model: Network,
  net: dict[str, Any],
  normalization: Normalization,
  images: jax.Array,
  sizes: jax.Array,
  *,
  crop: int,
) -> jax.Array:
  """The log of probabilities averaged over positions, [examples, classes].

  Arguments are those of `dense_logits`, but images are uint8.
  """
  # A mean image has no pixel for those of a larger image: its mean colour has.
  if normalization.mean.ndim == 3:
    mean = normalization.mean.mean((0, 1))
    normalization = normalization.replace(mean=mean)
  logits, inside = dense_logits(
    model, net, normalization(images), sizes, crop=crop
  )
  inside = jnp.broadcast_to(inside[..., None], logits.shape)
  return log_mean_exp(jax.nn.log_softmax(logits), (1, 2), inside)


def _flip_inside(images: jax.Array, widths: jax.Array) -> jax.Array:
  """Mirrors each image, which stays on the left of its padding."""
  columns = jnp.arange(images.shape[2])
  mirrored = jnp.maximum(widths[:, None] - 1 - columns, 0)
  return jax.vmap(lambda image, index: image[:, index])(images, mirrored)
