"""Results of the paper and of others, read from `published.toml`.

  published.TABLE6['ResNet-20'].error                             # 8.75
  published.TABLE3['ResNet-34 B'].top1                            # 24.52

Tables are in the paper's order, by the names that the paper prints; networks of
18 and 34 layers have the option of their shortcuts in their names. Errors are
in %; None is what the source does not give.
"""

import dataclasses
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar


@dataclasses.dataclass(frozen=True)
class ImageNetError:
  """A row of Tables 2 to 5, or of the authors' repository."""

  top1: float | None = None
  top5: float | None = None
  split: str = 'validation'


@dataclasses.dataclass(frozen=True)
class CifarError:
  """A row of Table 6.

  Attributes:
    error: Error of the best run where there are several.
    parameters: Number of parameters in millions.
    mean: Mean error of several runs.
    std: Standard deviation of the errors of several runs.
  """

  error: float
  parameters: float | None = None
  mean: float | None = None
  std: float | None = None


@dataclasses.dataclass(frozen=True)
class CurveEnd:
  """Where a curve of a figure ends; a bound is a string such as '< 0.1'."""

  test: float | str
  training: float | str | None = None


@dataclasses.dataclass(frozen=True)
class Band:
  """The least and the greatest error that good reproductions report."""

  low: float
  high: float
  remark: str = ''


_T = TypeVar('_T')
_FILE = importlib.resources.files('resnet_jax.paper') / 'published.toml'
_CONTENT: dict[str, Any] = tomllib.loads(_FILE.read_text(encoding='utf-8'))


def _rows(name: str, kind: type[_T]) -> dict[str, _T]:
  return {method: kind(**row) for method, row in _CONTENT[name].items()}


# The columns of Table 1: multiply-adds of an image in 1e9, with those of VGG
# from Sec. 4.1 and Fig. 3; and the layers in the rows from conv1 to fc.
FLOPS: Mapping[str, float] = _CONTENT['table1']['flops']
STAGES: Mapping[str, list[str]] = _CONTENT['table1']['stages']

TABLE2 = _rows('table2', ImageNetError)
TABLE3 = _rows('table3', ImageNetError)
TABLE4 = _rows('table4', ImageNetError)
TABLE5 = _rows('table5', ImageNetError)
TABLE6 = _rows('table6', CifarError)
FIGURE4 = _rows('figure4', CurveEnd)
FIGURE6 = _rows('figure6', CurveEnd)

AUTHORS_ONE_CROP = _rows('authors_one_crop', ImageNetError)
REPRODUCTIONS_ONE_CROP = _rows('reproductions_one_crop', Band)
REPRODUCTIONS_CIFAR10 = _rows('reproductions_cifar10', Band)


def printed_name(network: str) -> str:
  """A network's name in the paper, without its option: 'ResNet-20'."""
  words = network.removeprefix('cifar_')
  families = {'plain': 'plain-', 'resnet': 'ResNet-', 'vgg': 'VGG-'}
  families |= {'alexnet': 'AlexNet', 'googlenet': 'GoogLeNet'}
  return re.sub('^[a-z]+', lambda m: families.get(m[0], m[0]), words)
