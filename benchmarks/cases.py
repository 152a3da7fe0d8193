"""What is measured: a network, a batch, a precision, and synthetic images."""

import dataclasses
import pathlib
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
  import ml_collections

ROOT = pathlib.Path(__file__).parent.parent

# How products are computed. TF32, which GPUs have, keeps numbers in float32 and
# rounds the factors of a product.
PRECISIONS = ('float32', 'tensorfloat32', 'bfloat16')

# Low, so that noise for images does not let the loss explode.
_LEARNING_RATE = 0.01


@dataclasses.dataclass(frozen=True)
class Case:
  """One row of a table.

  Attributes:
    network: Name of a file of configs/ without its suffix, or `cifar_resnet8`
      and the like for depths that have no file.
    batch: Images of a step.
    precision: One of PRECISIONS, or 'float64' for proofs on a CPU.
    data: The .npz file of synthetic images.
    compiled: Whether the peer is compiled as well (`torch.compile`).
  """

  network: str
  batch: int
  precision: str
  data: str
  compiled: bool = False


def config_of(case: Case) -> 'ml_collections.ConfigDict':
  """The config of a training run of `case`: the network's own recipe."""
  from resnet_jax.config.file import load_config

  config = load_config(str(config_file(case.network)))
  if re.fullmatch(r'cifar_(resnet|plain)\d+', case.network):
    config.model.name = case.network
  config.batch_size = case.batch
  rounded = case.precision == 'tensorfloat32'
  config.model.dtype = 'float32' if rounded else case.precision
  config.model.precision = 'tensorfloat32' if rounded else 'float32'
  if case.batch % (config.model.bn_group_size or 1):
    config.model.bn_group_size = 0  # a batch of no whole groups is one group
  config.dataset.npz = case.data
  config.dataset.crop_size = 0
  config.dataset.mean = 'pixel'
  config.augment.pca_std = 0.0
  config.schedule.learning_rate = _LEARNING_RATE
  config.schedule.warmup = 'none'
  config.bn_recompute_batches = 0
  config.run.eval_batch_size = case.batch
  return config


def config_file(network: str) -> pathlib.Path:
  """The config that names `network`, or the one of its family.

  Raises:
    FileNotFoundError: there is none.
  """
  file = ROOT / 'configs' / f'{network}.py'
  if not file.is_file() and re.fullmatch(r'cifar_(resnet|plain)\d+', network):
    file = ROOT / 'configs' / 'cifar_resnet20.py'
  if not file.is_file():
    raise FileNotFoundError(
      f'there is no configs/{network}.py; --networks takes names of files in '
      f'configs/, such as cifar_resnet20 or imagenet_resnet50'
    )
  return file


def is_cifar(network: str) -> bool:
  return network.startswith('cifar_')


def write_images(
  folder: pathlib.Path, *, side: int, classes: int, tests: int
) -> str:
  """Writes an .npz of noise, as `config.dataset.npz` takes it.

  Args:
    folder: Where the file goes, unless it is there.
    side: Height and width; 32 of CIFAR, 224 of ImageNet.
    classes: Classes; there are as many training images, and at least 2,000 of
      those that are small.
    tests: Test images.

  Returns:
    The file's path.
  """
  file = folder / f'noise-{side}-{classes}-{tests}.npz'
  if not file.is_file():
    generator = np.random.default_rng(0)
    train = max(classes, 2000 if side < 64 else 0)

    def images(count: int) -> np.ndarray:
      shape = (count, side, side, 3)
      return generator.integers(0, 256, shape, np.uint8)

    np.savez(
      file,
      train_images=images(train),
      train_labels=np.arange(train) % classes,
      test_images=images(tests),
      test_labels=np.arange(tests) % classes,
    )
  return str(file)
