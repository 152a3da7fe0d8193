"""Parameters and multiply-adds, counted on the modules themselves."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.extend.core
import jax.numpy as jnp


def count_params(variables: Any) -> int:
  """Numbers in `variables['params']`; BN's running statistics are not."""
  return sum(x.size for x in jax.tree.leaves(variables['params']))


def count_macs(model: nn.Module, image_shape: Sequence[int]) -> int:
  """Multiply-adds of one image's forward pass: convolutions and fc.

  That is what Table 1 calls FLOPs; BN, ReLU, pooling and additions do not
  count. The model is traced, not run.

  Args:
    model: called as `apply(variables, images, train=False)`.
    image_shape: height, width, channels.
  """
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  jaxpr = jax.make_jaxpr(model.apply)(variables, images)
  return sum(_macs(equation) for equation in _equations(jaxpr.jaxpr))


def _equations(jaxpr: Any) -> Iterator[Any]:
  for equation in jaxpr.eqns:
    yield equation
    for inner in jax.extend.core.jaxprs_in_params(equation.params):
      yield from _equations(inner)


def _macs(equation: Any) -> int:
  primitive = equation.primitive.name
  if primitive not in ('conv_general_dilated', 'dot_general'):
    return 0
  left, right = (v.aval.shape for v in equation.invars)
  out = equation.outvars[0].aval.shape
  if primitive == 'conv_general_dilated':
    # Each output sums over the kernel's window and its input channels.
    channels = equation.params['dimension_numbers'].rhs_spec[0]
    return math.prod(out) * math.prod(right) // right[channels]
  (contracted, _), _ = equation.params['dimension_numbers']
  return math.prod(out) * math.prod(left[i] for i in contracted)
