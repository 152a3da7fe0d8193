"""Layers, parameters and multiply-adds, read off the modules themselves.

  for layer in layers(models.create('resnet34'), (224, 224, 3)):
    print(layer.path, layer.kernel, layer.output_shape, layer.macs)

A model is traced and not run, so that a count takes seconds at most. It is of
the operations that the module performs, and not of a table that describes it.
"""

import dataclasses
import functools
import math
from collections.abc import Generator, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.extend.core
import jax.numpy as jnp

# Height, width and, of maps, channels.
Shape = tuple[int, ...]

_CONV = 'conv_general_dilated'
_MATMUL = 'dot_general'
# The primitives of `nn.max_pool`, `nn.avg_pool` and a mean over the whole map.
_POOLS: dict[str, Literal['max_pool', 'avg_pool']] = {
  'reduce_window_max': 'max_pool',
  'reduce_window_sum': 'avg_pool',
  'reduce_sum': 'avg_pool',
}


@dataclasses.dataclass(frozen=True)
class Layer:
  """A convolution, a fully-connected layer, or a pooling.

  Attributes:
    path: Path of its module, such as 'conv2_x/block1/conv1'; '' is the model.
    kind: Which of them it is.
    kernel: Height and width of the window, (1, 1) for fc.
    stride: The same of the stride; (1, 1) for fc and for pooling over the whole
      map.
    groups: Groups of a convolution, 1 for other layers.
    input_shape: Height, width and channels; 1, 1 and features for fc.
    output_shape: The same of the output.
    params: Numbers in the kernel and the bias of the module at `path`.
    macs: Multiply-adds for one image.
    depth: Convolutions and fc on the longest path from the image through this
      layer, which is how the paper counts layers. A shortcut's projection is
      beside that path.
  """

  path: str
  kind: Literal['conv', 'fc', 'max_pool', 'avg_pool']
  kernel: Shape
  stride: Shape
  groups: int
  input_shape: Shape
  output_shape: Shape
  params: int
  macs: int
  depth: int


def count_params(variables: Any) -> int:
  """Numbers in `variables['params']`, without BN's running statistics."""
  return sum(x.size for x in jax.tree.leaves(variables['params']))


def count_macs(model: nn.Module, image_shape: Sequence[int]) -> int:
  """Multiply-adds of the convolutions and fc in one image's forward pass.

  Table 1 calls them FLOPs. BN, ReLU, pooling and additions do not count.

  Args:
    model: Called as `apply(variables, images, train=False)`.
    image_shape: Height, width, channels.
  """
  return sum(layer.macs for layer in layers(model, image_shape))


def abstract_variables(model: nn.Module, image_shape: Sequence[int]) -> Any:
  """The model's variables without their values: shapes and dtypes."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  return jax.eval_shape(model.init, jax.random.key(0), images)


def layers(
  model: nn.Module,
  image_shape: Sequence[int],
  *,
  variables: Any = None,
  pools: bool = False,
) -> list[Layer]:
  """The layers that one image passes in testing, in order of execution.

  Args:
    model: Called as `apply(variables, images, train=False)`.
    image_shape: Height, width, channels.
    variables: The model's variables, if the caller has them, which saves half
      of the tracing. Their values do not matter.
    pools: Whether to include poolings beside the layers that have weights.
  """
  if variables is None:
    variables = abstract_variables(model, image_shape)
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  jaxpr = jax.make_jaxpr(model.apply)(variables, images)
  found = []
  for equation, scope, depth in _equations(jaxpr.jaxpr):
    path = _module_path(scope)
    primitive = equation.primitive.name
    if primitive in (_CONV, _MATMUL):
      describe = _conv if primitive == _CONV else _fc
      params = _count_at(path, variables.get('params', {}))
      found.append(describe(equation)(path=path, params=params, depth=depth))
    elif pools and (pool := _pool(equation)):
      found.append(pool(path=path, params=0, macs=0, depth=depth))
  return found


def _equations(
  jaxpr: Any, scope: str = '', depth: int = 0
) -> Generator[tuple[Any, str, int], None, int]:
  """Equations in order, also of nested programs, with their scope and depth.

  Args:
    jaxpr: The program.
    scope: Scope of the equation that calls it; names inside continue it.
    depth: Weighted layers on the longest path to that equation.

  Returns:
    Weighted layers on the longest path to its results.
  """
  reached: dict[jax.extend.core.Var, int] = {}
  for equation in jaxpr.eqns:
    variables = [
      v for v in equation.invars if isinstance(v, jax.extend.core.Var)
    ]
    after = max((reached.get(v, depth) for v in variables), default=depth)
    after += equation.primitive.name in (_CONV, _MATMUL)
    stack = f'{scope}/{equation.source_info.name_stack}'
    yield equation, stack, after
    for inner in jax.extend.core.jaxprs_in_params(equation.params):
      after = max(after, (yield from _equations(inner, stack, after)))
    reached |= dict.fromkeys(equation.outvars, after)
  return max(reached.values(), default=depth)


def _module_path(scope: str) -> str:
  """The path of a module in a scope: 'x' of '/ResNet/ResNet.features/x'.

  Flax opens a scope for each call of a module, under its name (the class, for
  the model), and 'name.method' where that is not `__call__`.
  """
  names: list[str] = []
  for entry in filter(None, scope.split('/')):
    name, dot, _ = entry.partition('.')
    if not (dot and names and names[-1] == name):
      names.append(name)
  return '/'.join(names[1:])


def _count_at(path: str, params: Any) -> int:
  for name in path.split('/'):
    # A convolution with a constant, such as a blur, has no parameters.
    params = params.get(name, {})
  return count_params({'params': params})


def _conv(equation: Any) -> functools.partial[Layer]:
  left, right = (v.aval.shape for v in equation.invars)
  out = equation.outvars[0].aval.shape
  dimensions = equation.params['dimension_numbers']
  kernel = dimensions.rhs_spec
  return functools.partial(
    Layer,
    kind='conv',
    kernel=tuple(right[i] for i in kernel[2:]),
    stride=tuple(equation.params['window_strides']),
    groups=equation.params['feature_group_count'],
    input_shape=_height_width_channels(left, dimensions.lhs_spec),
    output_shape=_height_width_channels(out, dimensions.out_spec),
    # Each output sums over the kernel's window and its input channels.
    macs=math.prod(out) * math.prod(right) // right[kernel[0]],
  )


def _height_width_channels(shape: Shape, spec: Sequence[int]) -> Shape:
  _, channels, *spatial = spec  # batch first
  return (*(shape[i] for i in spatial), shape[channels])


def _fc(equation: Any) -> functools.partial[Layer]:
  left = equation.invars[0].aval.shape
  out = equation.outvars[0].aval.shape
  (contracted, _), _ = equation.params['dimension_numbers']
  features = math.prod(left[i] for i in contracted)
  return functools.partial(
    Layer,
    kind='fc',
    kernel=(1, 1),
    stride=(1, 1),
    groups=1,
    input_shape=(1, 1, features),
    output_shape=(1, 1, out[-1]),
    macs=math.prod(out) * features,
  )


def _pool(equation: Any) -> functools.partial[Layer] | None:
  """The layer of a pooling; None of other equations, as a sum over channels."""
  kind = _POOLS.get(equation.primitive.name)
  if kind is None or len(equation.invars[0].aval.shape) != 4:
    return None
  _, *input_shape = equation.invars[0].aval.shape
  if equation.primitive.name == 'reduce_sum':
    if equation.params['axes'] != (1, 2):
      return None
    kernel: Shape = tuple(input_shape[:2])
    stride: Shape = (1, 1)
    output_shape: Shape = (1, 1, input_shape[2])
  else:
    _, *window, channels = equation.params['window_dimensions']
    if channels != 1:
      return None
    kernel = tuple(window)
    stride = tuple(equation.params['window_strides'][1:3])
    output_shape = equation.outvars[0].aval.shape[1:]
  return functools.partial(
    Layer,
    kind=kind,
    kernel=kernel,
    stride=stride,
    groups=1,
    input_shape=tuple(input_shape),
    output_shape=tuple(output_shape),
  )
