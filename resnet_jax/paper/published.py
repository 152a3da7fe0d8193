"""What others have measured: the paper's numbers, and nothing of ours.

  published.TABLE6['cifar_resnet20'].error                        # 8.75
  published.TABLE3['resnet34', 'B'].top1                          # 24.52
  published.TABLE6.get(published.key('cifar_resnet110', 'A'))

Tables are in the paper's order. Keys are our names of networks, with the
shortcut where the paper compares shortcuts (`key`), and the paper's words for
the methods of others. Errors are in %; None is what the source does not give.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

Key: TypeAlias = str | tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A column of Table 1, below the stem that all share.

  Attributes:
    layers: as the paper counts them, projections left out.
    blocks: how many, in conv2_x to conv5_x.
    convolutions: of one block of each stage, as (kernel, filters).
    flops: multiply-adds of an image, in 1e9.
    source: where it stands.
  """

  layers: int
  blocks: tuple[int, ...]
  convolutions: tuple[tuple[tuple[int, int], ...], ...]
  flops: float
  source: str


@dataclasses.dataclass(frozen=True)
class Cost:
  """Multiply-adds of a network of others, in 1e9."""

  flops: float
  source: str


@dataclasses.dataclass(frozen=True)
class ImageNetError:
  """A row of Tables 2 to 5, or of the authors' repository."""

  method: str
  top1: float | None
  top5: float | None
  split: Literal['validation', 'test']
  source: str


@dataclasses.dataclass(frozen=True)
class CifarError:
  """A row of Table 6; `parameters` are in millions.

  `error` is of the best run where there are several, as the paper prints it.
  """

  method: str
  layers: int | None
  parameters: float | None
  error: float
  source: str
  mean: float | None = None
  std: float | None = None
  runs: int | None = None


@dataclasses.dataclass(frozen=True)
class Reading:
  """A value that was read off a plot, or a bound that the paper states."""

  value: float
  relation: Literal['=', '<', '>'] = '='

  def __str__(self) -> str:
    return (
      f'{"" if self.relation == "=" else self.relation + " "}{self.value:g}'
    )


@dataclasses.dataclass(frozen=True)
class Curve:
  """Where a curve of a figure ends.

  Attributes:
    method: as the paper calls it.
    test: of CIFAR-10, or of a centre crop of ImageNet's validation images.
    training: with augmentation, as it was trained.
    iterations: at the end.
    source: the figure, and 'digitised' where the value is read off it.
    uncertainty: of the values, in words.
  """

  method: str
  test: Reading
  training: Reading | None
  iterations: int
  source: str
  uncertainty: str


@dataclasses.dataclass(frozen=True)
class Band:
  """Errors from `low` to `high` that good reproductions of others report."""

  low: float
  high: float
  measure: str
  source: str
  remark: str = ''


def key(network: str, shortcut: str | None = None) -> Key:
  """Where the tables have `network`, which is one of `models.available()`.

  Without `shortcut` it is the paper's first: A up to 34 layers, B above. Other
  nets have none, and the paper's CIFAR nets A alone: they go by their name.
  """
  if network.startswith('cifar_resnet'):
    return network if shortcut in (None, 'A') else (network, shortcut)
  if not network.startswith('resnet'):
    return network
  default = 'A' if network in ('resnet18', 'resnet34') else 'B'
  return network, shortcut or default


def _key_of(method: str) -> Key:
  """`method`, as it is printed, under our name where we have it."""
  kind, _, rest = method.partition('-')
  depth, _, shortcut = rest.partition(' ')
  if kind not in ('plain', 'ResNet') or not depth.isdigit():
    return method
  # The depths of the two families do not meet.
  family = '' if int(depth) in (18, 34, 50, 101, 152) else 'cifar_'
  return key(f'{family}{kind.lower()}{depth}', shortcut or None)


def _imagenet(
  source: str,
  rows: Sequence[tuple[str, float | None, float | None]],
  split: Literal['validation', 'test'] = 'validation',
) -> dict[Key, ImageNetError]:
  return {
    _key_of(method): ImageNetError(method, top1, top5, split, source)
    for method, top1, top5 in rows
  }


def _architecture(
  layers: int, blocks: tuple[int, ...], flops: float
) -> Architecture:
  widths = (64, 128, 256, 512)
  convolutions = tuple(
    ((1, c), (3, c), (1, 4 * c)) if layers >= 50 else ((3, c), (3, c))
    for c in widths
  )
  return Architecture(layers, blocks, convolutions, flops, 'Table 1')


# The plain nets of 18 and 34 layers share the columns of the residual ones.
TABLE1: Mapping[str, Architecture] = {
  'resnet18': _architecture(18, (2, 2, 2, 2), 1.8),
  'resnet34': _architecture(34, (3, 4, 6, 3), 3.6),
  'resnet50': _architecture(50, (3, 4, 6, 3), 3.8),
  'resnet101': _architecture(101, (3, 4, 23, 3), 7.6),
  'resnet152': _architecture(152, (3, 8, 36, 3), 11.3),
}

VGG: Mapping[str, Cost] = {
  'VGG-16': Cost(15.3, 'Sec. 4.1'),
  'VGG-19': Cost(19.6, 'Fig. 3'),
}

# 10-crop; shortcut A.
TABLE2: Mapping[Key, ImageNetError] = _imagenet(
  'Table 2',
  (
    ('plain-18', 27.94, None),
    ('ResNet-18', 27.88, None),
    ('plain-34', 28.54, None),
    ('ResNet-34', 25.03, None),
  ),
)

# 10-crop.
TABLE3: Mapping[Key, ImageNetError] = _imagenet(
  'Table 3',
  (
    ('VGG-16', 28.07, 9.33),
    ('GoogLeNet', None, 9.15),
    ('PReLU-net', 24.27, 7.38),
    ('plain-34', 28.54, 10.02),
    ('ResNet-34 A', 25.03, 7.76),
    ('ResNet-34 B', 24.52, 7.46),
    ('ResNet-34 C', 24.19, 7.40),
    ('ResNet-50', 22.85, 6.71),
    ('ResNet-101', 21.75, 6.05),
    ('ResNet-152', 21.43, 5.71),
  ),
)

# Single models; the residual nets dense, at five scales.
TABLE4: Mapping[Key, ImageNetError] = {
  # A dagger marks it: of the test set.
  **_imagenet('Table 4', (("VGG (ILSVRC'14)", None, 8.43),), 'test'),
  **_imagenet(
    'Table 4',
    (
      ("GoogLeNet (ILSVRC'14)", None, 7.89),
      ('VGG (v5)', 24.4, 7.1),
      ('PReLU-net', 21.59, 5.71),
      ('BN-inception', 21.99, 5.81),
      ('ResNet-34 B', 21.84, 5.71),
      ('ResNet-34 C', 21.53, 5.60),
      ('ResNet-50', 20.74, 5.25),
      ('ResNet-101', 19.87, 4.60),
      ('ResNet-152', 19.38, 4.49),
    ),
  ),
}

# Ensembles, by the test server; the last of six models, two of them of 152
# layers.
TABLE5: Mapping[Key, ImageNetError] = _imagenet(
  'Table 5',
  (
    ("VGG (ILSVRC'14)", None, 7.32),
    ("GoogLeNet (ILSVRC'14)", None, 6.66),
    ('VGG (v5)', None, 6.8),
    ('PReLU-net', None, 4.94),
    ('BN-inception', None, 4.82),
    ("ResNet (ILSVRC'15)", None, 3.57),
  ),
  'test',
)

# How many runs are behind Highway's mean, this paper does not say.
TABLE6: Mapping[Key, CifarError] = {
  _key_of(row.method): row
  for row in (
    CifarError('Maxout', None, None, 9.38, 'Table 6'),
    CifarError('NIN', None, None, 8.81, 'Table 6'),
    CifarError('DSN', None, None, 8.22, 'Table 6'),
    CifarError('FitNet-19', 19, 2.5, 8.39, 'Table 6'),
    CifarError('Highway-19', 19, 2.3, 7.54, 'Table 6', 7.72, 0.16),
    CifarError('Highway-32', 32, 1.25, 8.80, 'Table 6'),
    CifarError('ResNet-20', 20, 0.27, 8.75, 'Table 6'),
    CifarError('ResNet-32', 32, 0.46, 7.51, 'Table 6'),
    CifarError('ResNet-44', 44, 0.66, 7.17, 'Table 6'),
    CifarError('ResNet-56', 56, 0.85, 6.97, 'Table 6'),
    CifarError('ResNet-110', 110, 1.7, 6.43, 'Table 6', 6.61, 0.16, 5),
    CifarError('ResNet-1202', 1202, 19.4, 7.93, 'Table 6'),
  )
}

# Test errors are within 0.05 of Table 6, where that has the net; ResNet-110's
# is between its best and its mean.
_CIFAR_READING = 'about 0.1: read off the printed curve of one run'
_BOUND = 'a bound that the paper states'
_IMAGENET_READING = 'about 0.2: read off the printed curve'


def _curve(
  method: str, test: float, training: float | Reading
) -> tuple[Key, Curve]:
  reading = training if isinstance(training, Reading) else Reading(training)
  return _key_of(method), Curve(
    method,
    Reading(test),
    reading,
    64_000,
    'Fig. 6, digitised',
    _CIFAR_READING,
  )


FIGURE6: Mapping[Key, Curve] = dict(
  (
    _curve('plain-20', 9.65, 1.3),
    _curve('plain-32', 10.1, 1.1),
    _curve('plain-44', 11.4, 2.9),
    _curve('plain-56', 13.25, 5.8),
    (
      'cifar_plain110',
      Curve(
        'plain-110',
        Reading(60, '>'),
        Reading(60, '>'),
        64_000,
        'Fig. 6, caption',
        _BOUND,
      ),
    ),
    _curve('ResNet-20', 8.8, 0.6),
    _curve('ResNet-32', 7.5, 0.2),
    _curve('ResNet-44', 7.18, 0.1),
    _curve('ResNet-56', 6.97, 0.1),
    _curve('ResNet-110', 6.57, Reading(0.1, '<')),
    _curve('ResNet-1202', 7.9, Reading(0.1, '<')),
  )
)

# The same two curves as in Fig. 6, left.
FIGURE1: Mapping[Key, Curve] = {
  name: dataclasses.replace(FIGURE6[name], source='Fig. 1, digitised')
  for name in ('cifar_plain20', 'cifar_plain56')
}

# Centre crops; shortcut A. The training errors have not been read off.
FIGURE4: Mapping[Key, Curve] = {
  _key_of(method): Curve(
    method,
    Reading(validation),
    None,
    550_000,
    'Fig. 4, digitised',
    _IMAGENET_READING,
  )
  for method, validation in (
    ('plain-18', 31.4),
    ('plain-34', 32.4),
    ('ResNet-18', 31.0),
    ('ResNet-34', 28.25),
  )
}

AUTHORS_ONE_CROP: Mapping[Key, ImageNetError] = _imagenet(
  "authors' repository",
  (
    ('ResNet-50', 24.7, 7.8),
    ('ResNet-101', 23.6, 7.1),
    ('ResNet-152', 23.0, 6.7),
  ),
)


def _band(
  network: str, low: float, high: float, remark: str = ''
) -> tuple[Key, Band]:
  name = key(network)
  if network.startswith('cifar_'):
    measure = 'CIFAR-10 test error'
  else:
    measure = 'ImageNet validation top-1 error, one crop'
    # No public code was found that reports shortcuts A or C, or plain nets.
    name = network, 'B'
  return name, Band(low, high, measure, 'public reproductions', remark)


# The bottlenecks of most have the stride in their 3x3.
_V15 = 'mostly v1.5'
REPRODUCTIONS: Mapping[Key, Band] = dict(
  (
    _band('cifar_plain20', 9.5, 9.9),
    _band('cifar_plain32', 9.9, 10.1),
    _band('cifar_plain44', 10.4, 11.4),
    _band('cifar_plain56', 12.8, 14.2),
    _band('cifar_resnet20', 8.0, 8.75),
    _band('cifar_resnet32', 7.3, 7.6),
    _band('cifar_resnet44', 6.9, 7.4),
    _band('cifar_resnet56', 6.6, 7.4),
    _band('cifar_resnet110', 5.9, 7.0),
    _band('cifar_resnet1202', 6.2, 7.9, 'or no convergence'),
    _band('resnet18', 29.7, 30.4),
    _band('resnet34', 26.2, 26.7),
    _band('resnet50', 23.3, 24.0, _V15),
    _band('resnet101', 21.7, 22.6, _V15),
    _band('resnet152', 21.5, 22.2, _V15),
  )
)
