"""Networks by name: the paper's, CIFAR's of any depth 6n+2, the baselines."""

import dataclasses
import difflib
import re
from typing import Any

import jax.numpy as jnp

from resnet_jax.models.alexnet import AlexNet
from resnet_jax.models.googlenet import GoogLeNet
from resnet_jax.models.precision import NAMES
from resnet_jax.models.resnet import ResNet
from resnet_jax.models.vgg import VGG

Network = ResNet | AlexNet | VGG | GoogLeNet

# Table 1: blocks per stage; bottlenecks from 50 layers on.
_IMAGENET_STAGES = {
  18: (2, 2, 2, 2),
  34: (3, 4, 6, 3),
  50: (3, 4, 6, 3),
  101: (3, 4, 23, 3),
  152: (3, 8, 36, 3),
}
_IMAGENET_PLAIN = (18, 34)
# Sec. 4.2 and Table 6; the plain net of 1202 layers is not the paper's.
_CIFAR_RESNET = (20, 32, 44, 56, 110, 1202)
_CIFAR_PLAIN = (20, 32, 44, 56, 110)

_OVERRIDES = (
  'axis_name',
  'bn_group_size',
  'bn_momentum',
  'dtype',
  'frozen_bn',
  'frozen_stages',
  'precision',
  'remat',
  'shortcut',
  'stem_pool',
  'version',
  'zero_init_residual',
)
# The overrides that all networks have.
_COMPUTATION = ('dtype', 'precision')

# Tables 3 and 4 and Fig. 3 have VGG (configurations D and E) and GoogLeNet;
# AlexNet is [21], with which ImageNet's nets and tests begin.
_BASELINES = {
  'alexnet': (AlexNet, {}),
  'vgg16': (VGG, {'stage_sizes': (2, 2, 3, 3, 3)}),
  'vgg19': (VGG, {'stage_sizes': (2, 2, 4, 4, 4)}),
  'googlenet': (GoogLeNet, {}),
}


def available() -> list[str]:
  """Names of the paper's networks; `create` knows other CIFAR depths, too."""
  return [
    *(f'plain{depth}' for depth in _IMAGENET_PLAIN),
    *(f'resnet{depth}' for depth in _IMAGENET_STAGES),
    *(f'cifar_plain{depth}' for depth in _CIFAR_PLAIN),
    *(f'cifar_resnet{depth}' for depth in _CIFAR_RESNET),
  ]


def baselines() -> list[str]:
  """Names of the networks that the paper compares its own with.

  They have no batch normalization, no shortcuts and no blocks.
  """
  return list(_BASELINES)


def create(
  name: str, *, num_classes: int | None = None, **overrides: Any
) -> Network:
  """The network `name` as in the paper, except for `overrides`.

  Args:
    name: One of `available()` or `baselines()`, or `cifar_resnet<6n+2>` or
      `cifar_plain<6n+2>`.
    num_classes: Default 1000 for the ImageNet nets, 10 for the CIFAR nets.
    **overrides: Fields of `ResNet` that leave the layers' sizes alone:
      axis_name, bn_group_size (default 32, or 64 for the CIFAR nets),
      bn_momentum, dtype, frozen_bn, frozen_stages, precision, remat, shortcut
      (default A, or B from 50 layers on), stem_pool (ImageNet nets only),
      version (bottleneck nets only), zero_init_residual. The baselines have
      dropout, dtype and precision, and GoogLeNet has auxiliary_dropout.

  Raises:
    ValueError: there is no such name or override, or the combination means
      nothing (a shortcut in a plain net, `version` without bottlenecks).
  """
  if num_classes is not None and num_classes < 1:
    raise ValueError(f'num_classes is {num_classes}; it must be at least 1')
  if name in _BASELINES:
    return _baseline(name, num_classes or 1000, overrides)
  match = re.fullmatch(r'(cifar_)?(resnet|plain)(\d+)', name)
  if not match:
    raise ValueError(_unknown(name))
  cifar, kind, depth = bool(match[1]), match[2], int(match[3])
  if cifar:
    fields = _cifar_fields(name, depth)
  else:
    fields = _imagenet_fields(name, kind, depth)
  if num_classes is not None:
    fields['num_classes'] = num_classes
  if kind == 'plain':
    fields['shortcut'] = None
  _check_overrides(name, kind, fields, overrides)
  return ResNet(**(fields | overrides))


def input_shape(name: str) -> tuple[int, int, int]:
  """Height, width and channels of the paper's images for the net `name`."""
  return (32, 32, 3) if name.startswith('cifar_') else (224, 224, 3)


def _baseline(
  name: str, num_classes: int, overrides: dict[str, Any]
) -> Network:
  network, fields = _BASELINES[name]
  names = [field.name for field in dataclasses.fields(network)]
  rates = [name for name in names if name.endswith('dropout')]
  for key in overrides:
    if key in _OVERRIDES and key not in _COMPUTATION:
      raise ValueError(
        f'{name} has no {key}, as it is neither a residual nor a plain net; '
        f'leave it out'
      )
    if key not in (known := (*_COMPUTATION, *rates)):
      raise ValueError(
        f'{name} has no override {key!r}{_near(key, known)}; there are '
        f'{", ".join(known)}'
      )
  for key in rates:
    rate = overrides.get(key, 0)
    if not 0 <= rate < 1:
      raise ValueError(f'{key} is {rate}; it must be in [0, 1)')
  _check_computation(overrides)
  return network(num_classes=num_classes, **fields, **overrides)


def _imagenet_fields(name: str, kind: str, depth: int) -> dict[str, Any]:
  depths = _IMAGENET_STAGES if kind == 'resnet' else _IMAGENET_PLAIN
  if depth not in depths:
    raise ValueError(_unknown(name))
  bottleneck = depth >= 50
  return {
    'stage_sizes': _IMAGENET_STAGES[depth],
    'filters': (64, 128, 256, 512),
    'num_classes': 1000,
    'stem': 'imagenet',
    'bottleneck': bottleneck,
    'shortcut': 'B' if bottleneck else 'A',
    'bn_group_size': 32,
  }


def _cifar_fields(name: str, depth: int) -> dict[str, Any]:
  n, rest = divmod(depth - 2, 6)
  if rest or n < 1:
    below = 6 * max(n, 1) + 2
    raise ValueError(
      f'{name}: a CIFAR net has 6n+2 layers (Sec. 4.2) and {depth} is not of '
      f'that form; the nearest are {below} and {below + 6}'
    )
  return {
    'stage_sizes': (n, n, n),
    'filters': (16, 32, 64),
    'num_classes': 10,
    'stem': 'cifar',
    'bn_group_size': 64,
  }


def _check_overrides(
  name: str, kind: str, fields: dict[str, Any], overrides: dict[str, Any]
) -> None:
  for key in overrides:
    if key not in _OVERRIDES:
      raise ValueError(
        f'{name} has no override {key!r}{_near(key, _OVERRIDES)}; '
        f'there are {", ".join(_OVERRIDES)}'
      )
  shortcut = overrides.get('shortcut', fields.get('shortcut', 'A'))
  if kind == 'plain' and shortcut is not None:
    twin = name.replace('plain', 'resnet')
    raise ValueError(
      f'{name} is a plain net and has no shortcuts; with shortcut '
      f'{shortcut!r} it would be {twin}'
    )
  if kind == 'resnet' and shortcut not in ('A', 'B', 'C'):
    raise ValueError(
      f"shortcut is {shortcut!r}; it must be 'A', 'B' or 'C' (Sec. 4.1). The "
      f'net without shortcuts is {name.replace("resnet", "plain")}'
    )
  version = overrides.get('version', 'v1')
  if version not in ('v1', 'v1.5'):
    raise ValueError(f"version is {version!r}; it must be 'v1' or 'v1.5'")
  if 'version' in overrides and not fields.get('bottleneck'):
    raise ValueError(
      f'version says where a bottleneck has its stride, and {name} has no '
      f'bottlenecks; leave it out'
    )
  frozen, stages = overrides.get('frozen_stages', 0), len(fields['filters']) + 1
  if not isinstance(frozen, int) or not 0 <= frozen <= stages:
    raise ValueError(
      f'frozen_stages is {frozen}; {name} has {stages} stages, with the stem, '
      f'so it can be 0 to {stages}'
    )
  pool = overrides.get('stem_pool', 'ceil')
  if pool not in ('ceil', 'padded'):
    raise ValueError(f"stem_pool is {pool!r}; it must be 'ceil' or 'padded'")
  if 'stem_pool' in overrides and fields['stem'] != 'imagenet':
    raise ValueError(f'{name} pools nothing in its stem; leave stem_pool out')
  group = overrides.get('bn_group_size', 0)
  if not isinstance(group, int) or group < 0:
    raise ValueError(
      f'bn_group_size is {group}; it is a number of examples that is not '
      f'negative (0: the whole batch)'
    )
  _check_computation(overrides)


def _check_computation(overrides: dict[str, Any]) -> None:
  dtype = overrides.get('dtype', jnp.float32)
  try:
    known = jnp.dtype(dtype) in (jnp.float32, jnp.bfloat16, jnp.float64)
  except TypeError:
    known = False
  if not known:  # float16 overflows: plain-56 has gone NaN in it
    raise ValueError(f'dtype is {dtype}; use float32 or bfloat16')
  precision = overrides.get('precision', 'float32')
  if precision not in NAMES:
    raise ValueError(f'precision is {precision!r}; use {" or ".join(NAMES)}')


def _unknown(name: str) -> str:
  names = available() + baselines()
  in_cifar = f'cifar_{name}'
  near = in_cifar if in_cifar in names else name
  return (
    f'there is no network {name!r}{_near(near, names)}; '
    f'there are {", ".join(names)}, and the CIFAR nets of any 6n+2 layers'
  )


def _near(word: str, words: list[str] | tuple[str, ...]) -> str:
  match = difflib.get_close_matches(word, words, 1)
  return f' (did you mean {match[0]!r}?)' if match else ''
