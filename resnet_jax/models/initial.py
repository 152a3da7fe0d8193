"""Initial weights, in seconds for networks of any depth.

  variables = init(model, jax.random.key(0), (32, 32, 3))

A number depends on its key and its place in the array alone, so weights are
drawn in rows of a few lengths: XLA compiles a program for each length once, and
not for each array, whose four dimensions would take it seconds.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

# Rows are powers of two, from this one on.
_SHORTEST = 2**16


def init(model: nn.Module, key: jax.Array, image_shape: Sequence[int]) -> Any:
  """The variables that `model.init` gives, without running the network.

  Args:
    model: The network.
    key: The key of the weights.
    image_shape: Height, width and channels.
  """
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  return model.lazy_init(key, images)


def he_normal(
  key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32
) -> jax.Array:
  """A Gaussian of variance 2 / fan_in, not truncated (He et al. 2015, Eq. 10).

  Fan-in, as [13] itself chooses and the authors' Caffe filler does by default:
  it keeps the forward signal's variance, and with BN either fan trains.
  """
  variance = np.asarray(2 / math.prod(shape[:-1]), dtype)
  return _gaussian(key, shape, dtype, np.sqrt(variance))


def xavier_uniform(
  key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32
) -> jax.Array:
  """Uniform numbers of variance 1 / fan_in, which Caffe names after Xavier."""
  variance = np.asarray(1 / math.prod(shape[:-1]), dtype)
  return _drawn(_uniform, key, shape, dtype, np.sqrt(3 * variance))


def normal(deviation: float) -> nn.initializers.Initializer:
  """A Gaussian of mean 0, not truncated."""

  def draw(
    key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32
  ) -> jax.Array:
    return _gaussian(key, shape, dtype, np.asarray(deviation, dtype))

  return draw


def _gaussian(
  key: jax.Array, shape: Sequence[int], dtype: DTypeLike, deviation: np.ndarray
) -> jax.Array:
  scale = np.sqrt(np.asarray(2, dtype)) * deviation
  return _drawn(_inverse_error_function, key, shape, dtype, scale)


def _drawn(
  draw: Callable[..., jax.Array],
  key: jax.Array,
  shape: Sequence[int],
  dtype: DTypeLike,
  scale: np.ndarray,
) -> jax.Array:
  """The first numbers of a row, in the shape of a kernel."""
  count = math.prod(shape)
  row = max(_SHORTEST, 1 << (count - 1).bit_length())
  return draw(key, scale, row, dtype)[:count].reshape(shape)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _inverse_error_function(
  key: jax.Array, scale: jax.Array, count: int, dtype: DTypeLike
) -> jax.Array:
  """Gaussian numbers of deviation `scale` / sqrt(2), as `jax.random.normal`."""
  low = np.nextafter(np.asarray(-1, dtype), np.asarray(0, dtype))
  return jax.lax.erf_inv(jax.random.uniform(key, (count,), dtype, low)) * scale


@functools.partial(jax.jit, static_argnums=(2, 3))
def _uniform(
  key: jax.Array, scale: jax.Array, count: int, dtype: DTypeLike
) -> jax.Array:
  """Numbers between -`scale` and `scale`."""
  return jax.random.uniform(key, (count,), dtype, -1) * scale
