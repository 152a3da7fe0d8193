"""Tells a PyTorch state dict's network by its names and shapes."""

import collections
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from resnet_jax import models
from resnet_jax.errors import UserError

_ELSEWHERE = (
  'Weights are taken of resnet18, 34, 50, 101 and 152 as torchvision and timm '
  'have them, and of the CIFAR nets of 6n+2 layers'
)


@dataclasses.dataclass(frozen=True)
class Architecture:
  """The arguments that make a network with `models.create`.

  Attributes:
    network: Its name, such as 'resnet50' or 'cifar_resnet20'.
    num_classes: Rows of the last layer.
    overrides: Fields in which the network differs from the paper's: shortcut,
      stem_pool, version. The last two cannot be seen in weights; stem_pool is
      'padded' in all of PyTorch's nets, and version 'v1.5' in nearly all.
  """

  network: str
  num_classes: int
  overrides: dict[str, Any]


def detect(
  arrays: Mapping[str, np.ndarray], *, network: str | None = None
) -> Architecture:
  """The network that a state dict belongs to.

  Args:
    arrays: Arrays by PyTorch's names.
    network: The network's name, if it is known; the layers are then not looked
      at, and `to_variables` says how they differ.

  Raises:
    UserError: it belongs to no network here; the message names the part that
      differs.
  """
  num_classes = _num_classes(arrays)
  network = network or _name(arrays)
  if 'plain' in network:
    raise UserError(
      f'{network}: the files of PyTorch that are known here have shortcuts, '
      f'and plain nets have none'
    )
  try:
    model = models.create(network)
  except ValueError as e:
    raise UserError(str(e)) from e
  if not isinstance(model, models.ResNet):
    raise UserError(f'{network} is no resnet. {_ELSEWHERE}')
  if model.stem == 'cifar':
    projects = any('.shortcut.0.' in name for name in arrays)
    overrides = {'shortcut': 'B' if projects else 'A'}
  else:
    overrides = {'shortcut': 'B', 'stem_pool': 'padded'}
    if model.bottleneck:
      overrides['version'] = 'v1.5'
  return Architecture(network, num_classes, overrides)


def _num_classes(arrays: Mapping[str, np.ndarray]) -> int:
  for name in ('fc.weight', 'linear.weight'):
    if name in arrays and arrays[name].ndim == 2:
      return len(arrays[name])
  names = ', '.join(list(arrays)[:3])
  first = collections.Counter(name.partition('.')[0] for name in arrays)
  inside = any(
    name.endswith(('.fc.weight', '.linear.weight')) for name in arrays
  )
  mixed = ', '.join(f'{name} ({count})' for name, count in first.most_common(5))
  mend = (
    f'The file holds more than one network, or a network and other arrays '
    f'beside it; names begin with {mixed}. Save the state_dict() of the '
    f'network alone'
  )
  raise UserError(
    f'there is no last layer among the {len(arrays)} arrays ({names}, ...): '
    f'neither fc.weight nor linear.weight, [classes, channels]. '
    f'{mend if inside and len(first) > 1 else _ELSEWHERE}'
  )


def _name(arrays: Mapping[str, np.ndarray]) -> str:
  foreign = _foreign_part(arrays)
  if foreign:
    raise UserError(
      f'this is a network of another family: {foreign}. {_ELSEWHERE}'
    )
  sizes = _stage_sizes(arrays)
  bottleneck = any(re.search(r'\.conv3\.weight$', name) for name in arrays)
  cifar = arrays['conv1.weight'].shape[2:] == (3, 3)
  if cifar and not bottleneck and len(sizes) == 3 and len(set(sizes)) == 1:
    return f'cifar_resnet{6 * sizes[0] + 2}'
  for name in models.available():
    model = models.create(name)
    if (
      not cifar
      and model.stem == 'imagenet'
      and model.shortcut is not None
      and model.bottleneck == bottleneck
      and tuple(model.stage_sizes) == sizes
    ):
      return name
  kind = 'bottleneck' if bottleneck else 'basic'
  kernel = 3 if cifar else 7
  raise UserError(
    f'there is no such network here: a {kernel}x{kernel} stem and stages of '
    f'{", ".join(map(str, sizes)) or "no"} {kind} blocks. {_ELSEWHERE}'
  )


def _foreign_part(arrays: Mapping[str, np.ndarray]) -> str | None:
  """A clause on the first part that no network here has, if there is any."""
  if 'conv1.0.weight' in arrays:
    return (
      'its stem is several convolutions (conv1.0.weight and so on), as in '
      "timm's resnet50d and its like, and ours is one"
    )
  if 'conv1.weight' not in arrays:
    names = ', '.join(list(arrays)[:3])
    return f'it has no conv1.weight; its first names are {names}'
  stem = arrays['conv1.weight']
  if stem.shape[2:] not in ((3, 3), (7, 7)):
    return (
      f'its stem, conv1.weight {list(stem.shape)}, is no 7x7 convolution as in '
      f"ImageNet's nets, and no 3x3 as in CIFAR's"
    )
  for name, x in arrays.items():
    if name.endswith('.downsample.1.weight') and x.ndim == 4:
      return (
        f'its shortcuts pool before they project ({name} is a convolution), '
        f"as in timm's resnet50d and its like"
      )
  first, second = (arrays.get(f'layer1.0.conv{i}.weight') for i in (1, 2))
  if first is None or second is None or first.ndim != 4 or second.ndim != 4:
    return None  # `to_variables` will list the differences
  width, read = len(first), second.shape[1]
  if read < width:
    return (
      f'its convolutions are grouped: layer1.0.conv2.weight '
      f'{list(second.shape)} reads {read} of {width} channels at a time, as '
      f'in ResNeXt'
    )
  cifar = stem.shape[2:] == (3, 3) and 'layer4.0.conv1.weight' not in arrays
  usual = 16 if cifar else 64
  if width != usual:
    return (
      f'its first blocks are {width} channels wide and not {usual} '
      f'(layer1.0.conv1.weight {list(first.shape)}), as in a Wide ResNet'
    )
  return None


def _stage_sizes(arrays: Mapping[str, np.ndarray]) -> tuple[int, ...]:
  sizes: dict[int, int] = {}
  for name in arrays:
    match = re.match(r'layer(\d+)\.(\d+)\.', name)
    if match:
      stage, block = int(match[1]), int(match[2])
      sizes[stage] = max(sizes.get(stage, 0), block + 1)
  return tuple(sizes[stage] for stage in sorted(sizes))
