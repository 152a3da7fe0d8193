"""3x3 max-pooling of stride 2, and its gradient in one pass over the maps."""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

_WINDOW, _STRIDE = 3, 2


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, sides: Sequence[tuple[int, int]]) -> jax.Array:
  """The greatest of each window.

  XLA's own gradient keeps four maps of indices. This one notes the place of the
  maximum in its window, in a byte: the first in the order of rows, as in XLA
  and in PyTorch.

  Args:
    x: [examples, height, width, channels].
    sides: Padding before and behind, in height and width.
  """
  window, stride = (_WINDOW,) * 2, (_STRIDE,) * 2
  return nn.max_pool(x, window, strides=stride, padding=sides)


def _forward(
  x: jax.Array, sides: Sequence[tuple[int, int]]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  y = max_pool(x, sides)
  return y, (x, y)


def _backward(
  sides: Sequence[tuple[int, int]],
  kept: tuple[jax.Array, jax.Array],
  dy: jax.Array,
) -> tuple[jax.Array]:
  x, y = kept
  rows, columns = ((n - 1) * _STRIDE + 1 for n in y.shape[1:3])
  least = jnp.array(-jnp.inf, x.dtype)
  padded = jax.lax.pad(
    x, least, ((0, 0, 0), *((*s, 0) for s in sides), (0, 0, 0))
  )
  places = [(i, j) for i in range(_WINDOW) for j in range(_WINDOW)]
  place = jnp.full(y.shape, len(places), jnp.int8)
  for number, (i, j) in reversed(list(enumerate(places))):
    value = padded[:, i : i + rows : _STRIDE, j : j + columns : _STRIDE]
    place = jnp.where(value == y, jnp.int8(number), place)
  place, dy = jax.lax.optimization_barrier((place, dy))
  height, width = padded.shape[1:3]
  zero = jnp.zeros((), dy.dtype)
  dx = jnp.zeros(padded.shape, dy.dtype)
  for number, (i, j) in enumerate(places):
    dx += jax.lax.pad(
      jnp.where(place == number, dy, zero),
      zero,
      (
        (0, 0, 0),
        (i, height - i - rows, _STRIDE - 1),
        (j, width - j - columns, _STRIDE - 1),
        (0, 0, 0),
      ),
    )
  (top, bottom), (left, right) = sides
  return (dx[:, top : height - bottom, left : width - right],)


max_pool.defvjp(_forward, _backward)
