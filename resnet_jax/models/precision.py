"""The precision in which a network multiplies float32 numbers.

Some devices round the factors of float32 products, which is many times faster:
an A100 or H100 to the 11 bits of TF32, a TPU to the 8 of bfloat16. JAX lets
them unless it is told otherwise. Here a network says what it wants; its
gradients are computed alike.
"""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import jax

# JAX's own words. 'float32' rounds no factor, as the paper's GPUs did.
# 'tensorfloat32' lets GPUs round to TF32, and TPUs to two terms of bfloat16; on
# a CPU or an older GPU both are the same.
Precision = Literal['float32', 'tensorfloat32']
NAMES: tuple[Precision, ...] = ('float32', 'tensorfloat32')

_P = ParamSpec('_P')
_R = TypeVar('_R')


def in_precision(
  method: Callable[Concatenate[Any, _P], _R],
) -> Callable[Concatenate[Any, _P], _R]:
  """Lets a method multiply in the `precision` of its network."""

  @functools.wraps(method)
  def wrapped(self: Any, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    with jax.default_matmul_precision(self.precision):
      return method(self, *args, **kwargs)

  return wrapped
