"""Our names of variables, and PyTorch's names of the same numbers.

  params/conv1/kernel                         conv1.weight
  params/conv2_x/block1/bn2/scale             layer1.0.bn2.weight
  batch_stats/conv2_x/block1/bn2/var          layer1.0.bn2.running_var
  params/conv3_x/block1/shortcut_conv/kernel  layer2.0.downsample.0.weight
  params/fc/bias                              fc.bias

These are torchvision's and timm's names. The reimplementation of the CIFAR nets
says `shortcut` for `downsample` and `linear` for `fc`.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

_Array = TypeVar('_Array')

# Modules that wrap another one anywhere in a network, and compute nothing.
_WRAPPERS = (
  '_orig_mod',  # torch.compile
  '_fsdp_wrapped_module',
  '_checkpoint_wrapped_module',
  '_forward_module',  # Lightning
)
# First parts of names in a network itself; any other is an attribute's in which
# a larger module keeps the network.
_OWN = re.compile(r'(conv\d+|bn\d+|layer\d+|fc|linear)$')
# What larger modules call the last layer where they keep it beside a backbone.
_HEADS = ('fc', 'linear', 'head', 'classifier', 'cls_head')
# The counter that torch.optim.swa_utils.AveragedModel adds.
_AVERAGED = 'n_averaged'
_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def unwrap(arrays: Mapping[str, _Array]) -> dict[str, _Array]:
  """`arrays` by the names that they have in the network itself.

  Frameworks and larger modules put names of their own before those of the
  network: `_orig_mod.`, `module.`, `model.backbone.`, ... What all names begin
  with is cut off, and so is what all begin with but those of one last layer.
  Where only some begin so, there is more than one network, and the names stay
  as they are.

  Args:
    arrays: Arrays by PyTorch's names.
  """
  plain = {
    '.'.join(part for part in name.split('.') if part not in _WRAPPERS): x
    for name, x in arrays.items()
  }
  if len(plain) < len(arrays):
    return dict(arrays)
  while True:
    rest = {name: x for name, x in plain.items() if name != _AVERAGED}
    first = sorted({name.partition('.')[0] for name in rest})
    if len(rest) < len(plain) and first != ['module']:
      return plain
    if (
      len(first) != 1 or _OWN.match(first[0]) or not all('.' in n for n in rest)
    ):
      return _with_head(rest) or rest
    plain = {name.partition('.')[2]: x for name, x in rest.items()}


def _with_head(arrays: Mapping[str, _Array]) -> dict[str, _Array] | None:
  """A backbone without a last layer, and the one beside it, as one network.

  None where there is anything else. A backbone that has a last layer of its own
  is another network than it is with the one beside it.
  """
  first = {name.partition('.')[0] for name in arrays}
  heads = sorted(first & set(_HEADS))
  if len(first) != 2 or len(heads) != 1:
    return None
  head = {n: x for n, x in arrays.items() if n.partition('.')[0] == heads[0]}
  layers = {name.rpartition('.')[0] for name in head}
  leaves = {name.rpartition('.')[2] for name in head}
  body = unwrap({n: x for n, x in arrays.items() if n not in head})
  own = {name.partition('.')[0] for name in body}
  if (
    len(layers) != 1
    or leaves not in ({'weight'}, {'weight', 'bias'})
    or not {'conv1', 'layer1'} <= own
    or own & set(_HEADS)
  ):
    return None
  name = 'fc' if 'layer4' in own else 'linear'
  return body | {f'{name}.{n.rpartition(".")[2]}': x for n, x in head.items()}


def torch_name(name: str, *, cifar: bool) -> str:
  """PyTorch's name of a variable.

  Args:
    name: Our name, with the collection: `params/conv1/kernel`.
    cifar: Whether to name it as in the reimplementation of the CIFAR nets, and
      not as in torchvision.

  Raises:
    ValueError: `name` is no variable of `models.ResNet`.
  """
  shortcut, head = ('shortcut', 'linear') if cifar else ('downsample', 'fc')
  modules = {
    'shortcut_conv': f'{shortcut}.0',
    'shortcut_bn': f'{shortcut}.1',
    'fc': head,
  }
  try:
    _, *path, module, leaf = name.split('/')
    parts = [modules.get(module, module), _LEAVES[leaf]]
    if path:
      stage, block = path
      # conv2_x is the first stage, and PyTorch counts blocks from 0.
      layer = int(stage.removeprefix('conv').removesuffix('_x')) - 1
      index = int(block.removeprefix('block')) - 1
      parts = [f'layer{layer}', str(index), *parts]
  except (KeyError, ValueError) as e:
    raise ValueError(f'{name} is no variable of a ResNet') from e
  return '.'.join(parts)


def counter_name(name: str) -> str | None:
  """The counter of batches that PyTorch keeps beside a running mean.

  Files from before PyTorch 0.4.1 lack it, and nothing here depends on it.

  Args:
    name: PyTorch's name of an array.

  Returns:
    The counter's name, or None if `name` is no running mean.
  """
  module, _, leaf = name.rpartition('.')
  return f'{module}.num_batches_tracked' if leaf == 'running_mean' else None


def is_counter(name: str) -> bool:
  """Whether `name`, one of PyTorch's, is a counter of batches."""
  return name.endswith('.num_batches_tracked')
