"""Converts a PyTorch state dict to our variables and back, number for number.

Convolutions are [out, in, height, width] there and [height, width, in, out]
here; the last layer is [classes, channels] there and [channels, classes] here.
The channels of a CIFAR net with shortcut A change places, see `channels`.
"""

import logging
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from resnet_jax import models
from resnet_jax.errors import UserError
from resnet_jax.weights import channels, names

_log = logging.getLogger('resnet_jax')

# Lines of a list of differences; a network of another depth has hundreds.
_MOST_LINES = 12
# For each of our axes the axis of PyTorch's array, by the number of axes.
_AXES = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


def to_variables(
  arrays: Mapping[str, np.ndarray], model: models.ResNet
) -> dict[str, Any]:
  """The variables of `model`: nested 'params' and 'batch_stats', float32.

  Weights do not show where bottlenecks have their strides, nor how the stem
  pools. A warning is logged where `model` has either elsewhere than PyTorch's
  own modules: unless the weights were made for that, results are wrong. `load`
  makes the right network by itself.

  Args:
    arrays: Arrays by PyTorch's names, of any float dtype. The counters
      `num_batches_tracked` are not looked at, and may be missing.
    model: A resnet with the overrides that `detect` returns.

  Raises:
    UserError: the model has no counterpart in PyTorch, or names, shapes or
      dtypes are not the model's, or numbers are not finite; the message lists
      the differences.
  """
  variables = convert(arrays, model)
  for departure in departures(model):
    _log.warning('%s: are the weights of such a network?', departure)
  return variables


def convert(
  arrays: Mapping[str, np.ndarray], model: models.ResNet
) -> dict[str, Any]:
  """`to_variables`, for a model that is known to be that of the weights."""
  wanted = _shapes(model)
  cifar = _is_cifar(model)
  torch_names = {name: names.torch_name(name, cifar=cifar) for name in wanted}
  arrays = {k: x for k, x in arrays.items() if not names.is_counter(k)}
  _require_same(
    arrays, {torch_names[name]: _torch_shape(s) for name, s in wanted.items()}
  )
  orders = _orders(model)
  tree = {}
  for name, torch_name in torch_names.items():
    x = arrays[torch_name]
    with np.errstate(over='ignore'):  # float64 overflows to inf; found below
      x = np.asarray(x, np.float32)
    x = x.transpose(_AXES[x.ndim])
    tree[name] = np.ascontiguousarray(_reorder(name, x, orders))
  _require_finite({torch_names[name]: x for name, x in tree.items()})
  return traverse_util.unflatten_dict(tree, sep='/')


def from_variables(
  variables: Mapping[str, Any], model: models.ResNet
) -> dict[str, np.ndarray]:
  """A PyTorch state dict with the names of torchvision, or of the CIFAR nets.

  Args:
    variables: {'params': ..., 'batch_stats': ...} of `model`.
    model: A resnet; an ImageNet net must have shortcut B.

  Returns:
    float32 arrays by name, and the counters `num_batches_tracked`, int64
    scalars of value 0.

  Raises:
    UserError: the variables are not the model's, or the model has no
      counterpart in PyTorch.
  """
  wanted = _shapes(model)
  cifar = _is_cifar(model)
  tree = traverse_util.flatten_dict(dict(variables), sep='/')
  tree = {name: np.asarray(x) for name, x in tree.items()}
  stem = tree.get('params/conv1/kernel')
  if stem is not None and stem.ndim == 4 and stem.shape[2] != 3:
    raise UserError(
      f'this network reads images of {stem.shape[2]} channels, and weights are '
      f'exchanged of networks that read colour alone, which has 3'
    )
  _require_same(tree, wanted)
  orders = _orders(model)
  inverses = None if orders is None else [np.argsort(order) for order in orders]
  arrays = {}
  for name in wanted:
    x = np.asarray(_reorder(name, tree[name], inverses), np.float32)
    torch_name = names.torch_name(name, cifar=cifar)
    arrays[torch_name] = np.ascontiguousarray(x.transpose(_inverse(x.ndim)))
    counter = names.counter_name(torch_name)
    if counter:
      arrays[counter] = np.zeros((), np.int64)
  return arrays


def departures(model: models.ResNet) -> list[str]:
  """Clauses on what `model` has elsewhere than PyTorch's own modules."""
  found = []
  if model.bottleneck and model.version == 'v1':
    found.append(
      'this is a v1 network, with strides on the first 1x1 convolutions; '
      "torchvision's module has them on the 3x3 (v1.5)"
    )
  if model.stem == 'imagenet' and model.stem_pool == 'ceil':
    found.append(
      "this network's stem pools without padding (stem_pool 'ceil'); "
      "torchvision's module pads, which shifts every window by a pixel"
    )
  return found


def _is_cifar(model: models.ResNet) -> bool:
  """Whether names are those of the CIFAR nets' reimplementation.

  Raises:
    UserError: the model has no counterpart in PyTorch.
  """
  cifar = model.stem == 'cifar'
  if model.shortcut not in (('A', 'B') if cifar else ('B',)):
    kind = 'no shortcuts' if model.shortcut is None else model.shortcut
    raise UserError(
      f"PyTorch's {'CIFAR' if cifar else 'ImageNet'} resnets have shortcut "
      f"{'A or B' if cifar else 'B'}, and this network's is {kind}: there is "
      f'no file of weights that it could be read from or written to'
    )
  return cifar


def _shapes(model: models.ResNet) -> dict[str, tuple[int, ...]]:
  images = jnp.zeros((1, 32, 32, 3))
  tree = jax.eval_shape(model.init, jax.random.key(0), images)
  flat = traverse_util.flatten_dict(tree, sep='/')
  return {name: x.shape for name, x in flat.items()}


def _inverse(axes: int) -> tuple[int, ...]:
  return tuple(np.argsort(_AXES[axes]).tolist())


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
  return tuple(shape[axis] for axis in _inverse(len(shape)))


def _orders(model: models.ResNet) -> list[np.ndarray] | None:
  return (
    channels.stream_orders(model.filters) if model.shortcut == 'A' else None
  )


def _reorder(
  name: str, x: np.ndarray, orders: list[np.ndarray] | None
) -> np.ndarray:
  """`x`, which has our axes, with its channels in the order of `orders`."""
  if orders is None:
    return x
  read, written = channels.orders_of(name, orders)
  if read is not None:
    x = x[..., read, :]
  return x if written is None else x[..., written]


def _require_same(
  arrays: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]
) -> None:
  both = sorted(name for name in wanted if name in arrays)
  lines = [
    *(f'- {name}  missing' for name in sorted(wanted) if name not in arrays),
    *(f'+ {name}  unknown' for name in sorted(arrays) if name not in wanted),
    *(
      f'~ {name}  {list(arrays[name].shape)} and not {list(wanted[name])}'
      for name in both
      if arrays[name].shape != wanted[name]
    ),
    *(
      f'~ {name}  {arrays[name].dtype} and not a float'
      for name in both
      if not jnp.issubdtype(arrays[name].dtype, jnp.floating)
    ),
  ]
  if lines:
    _refuse('the weights are not those of this network', lines)


def _require_finite(arrays: Mapping[str, np.ndarray]) -> None:
  bad = {name: int((~np.isfinite(x)).sum()) for name, x in arrays.items()}
  lines = [
    f'~ {name}  {count:,} of {arrays[name].size:,} numbers are not finite'
    for name, count in bad.items()
    if count
  ]
  if lines:
    _refuse('the weights are broken, or too large for float32', lines)


def _refuse(what: str, lines: list[str]) -> None:
  count = len(lines)
  more = [f'... and {count - _MOST_LINES} more'] if count > _MOST_LINES else []
  raise UserError('\n'.join([f'{what}:', *lines[:_MOST_LINES], *more]))
