"""The standard deviation of layer responses (Fig. 7).

  content = measure(run / 'checkpoints/latest/64000', Definition())

A response is what a 3x3 convolution on the main path gives after its BN, before
the nonlinearity or the addition.
"""

import dataclasses
import functools
import logging
import pathlib
import re
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import traverse_util

from resnet_jax import experiment
from resnet_jax.config import checks
from resnet_jax.config.plan import views_of
from resnet_jax.data.feed import Data
from resnet_jax.errors import UserError, did_you_mean
from resnet_jax.models import Network, ResNet
from resnet_jax.runs import checkpoint, restore

_log = logging.getLogger('resnet_jax')

Pooling = Literal['all', 'channels']
Statistics = Literal['running', 'batch']


@dataclasses.dataclass(frozen=True)
class Definition:
  """The choices that the paper leaves open about Fig. 7.

  Attributes:
    split: Split of the images. The section argues about optimization ("closer
      to zero"), not about generalization: so the training images.
    images: Number of images, the first in the split's order, not augmented;
      fewer where there are fewer. Folders are in the order of classes: there,
      take many.
    pooling: 'all' takes one deviation over images, positions and channels;
      'channels' averages the deviations of channels over images and positions.
      The paper speaks of the deviation of a layer's responses and of no
      average. After BN the deviation of one channel is nearly |scale|, whatever
      the images, and its offset would not count as response.
    statistics: BN normalizes with 'running' averages, as the trained network is
      used, or with those of the 'batch', as in training.
    batch_size: Images at a time. It matters to 'batch' alone: BN's groups are
      those of the network, and images that fill no batch are left out.

  Raises:
    UserError: a value that means nothing.
  """

  split: str = 'train'
  images: int = 1000
  pooling: Pooling = 'all'
  statistics: Statistics = 'running'
  batch_size: int = 128

  def __post_init__(self) -> None:
    for field in ('images', 'batch_size'):
      value = getattr(self, field)
      if not isinstance(value, int) or value < 1:
        raise UserError(
          f'{field} of layer responses is {value!r}; it must be a whole number '
          f'of at least 1'
        )
    for field, choices in (('pooling', Pooling), ('statistics', Statistics)):
      value, names = getattr(self, field), get_args(choices)
      if value not in names:
        raise UserError(
          f'{field} of layer responses is {value!r}'
          f'{did_you_mean(str(value), names)}; it can be '
          f'{" or ".join(map(repr, names))}'
        )


def measure(
  path: str | pathlib.Path,
  definition: Definition,
  *,
  trust_data: bool = False,
) -> dict[str, Any]:
  """The layer responses of a checkpoint, as they are written to JSON.

  Args:
    path: The checkpoint, SERIES/STEP.
    definition: How to measure.
    trust_data: See `restore.read_config`.

  Raises:
    UserError: there is no such checkpoint, split or BN, BN's groups do not fit,
      or the data cannot be loaded.
  """
  found = checkpoint.read_step(path)
  config = restore.read_config(found, trust_data=trust_data)
  checks.check(config)
  data = experiment.load_data(config)
  # The head gives no response, so the data may well be of other classes.
  restored = restore.restore(found, config, image_shape=data.image_shape)
  if found.meta['data'] != data.fingerprint:
    _log.info('%s was trained on other data than these', found.path)
  images = _first_images(data, config, definition)
  layers = layer_responses(
    restored.model, restored.variables(), images, definition
  )
  return {
    'definition': dataclasses.asdict(definition),
    'network': config.model.name,
    'data': data.name,
    'step': found.step,
    'checkpoint': found.fingerprint,
    'images': _usable(len(images), definition),
    'layers': [{'path': path, 'std': std} for path, std in layers.items()],
  }


def layer_responses(
  network: Network,
  variables: dict[str, Any],
  images: np.ndarray,
  definition: Definition,
) -> dict[str, float]:
  """The deviation of each layer, by its path, from the first to the last.

  Args:
    network: A plain or a residual network.
    variables: Its params and batch_stats, and the `normalization` of images.
    images: uint8 [examples, height, width, channels]; at most
      `definition.images` of them are looked at.
    definition: How to measure.

  Raises:
    UserError: there is no BN, or its groups do not fit the batches.
  """
  if not isinstance(network, ResNet):
    raise UserError(
      f'Fig. 7 is of responses after BN, and {type(network).__name__} has '
      f'none; use a plain or a residual network'
    )
  count, size = _usable(len(images), definition), definition.batch_size
  batch_statistics = definition.statistics == 'batch'
  if batch_statistics:
    _check_groups(network.bn_group_size, len(images), definition)
  else:
    size = min(size, count)
  layers = layers_of(variables)
  step = functools.partial(
    _by_image,
    # Frozen BN would use running averages, whatever is asked for.
    model=network.clone(
      axis_name=None, remat=False, frozen_bn=False, frozen_stages=0
    ),
    paths=tuple(layers.values()),
    train=batch_statistics,
  )
  sums: list[Any] = [0.0] * len(layers)
  for start in range(0, count, size):
    real = min(size, count - start)
    # The last batch is filled up, or its shape would be compiled anew.
    places = start + np.arange(size) % real
    by_layer = jax.device_get(step(variables, images[places]))
    for i, (means, variances) in enumerate(by_layer):
      sums[i] = sums[i] + _sums(means[:real], variances[:real])
  return {
    '/'.join(path): _std(total / count, definition.pooling)
    for path, total in zip(layers, sums, strict=True)
  }


def layers_of(
  variables: dict[str, Any],
) -> dict[tuple[str, ...], tuple[str, ...]]:
  """The 3x3 convolutions on the main path, in order, each with its BN.

  ImageNet's stem is 7x7, and projections are 1x1: neither is among them.

  Args:
    variables: Those of a ResNet; shapes will do.

  Returns:
    Paths of BN modules, by paths of convolutions.
  """
  convolutions = [
    path[:-1]
    for path, x in traverse_util.flatten_dict(variables['params']).items()
    if path[-1] == 'kernel' and x.shape[:-2] == (3, 3)
  ]
  return {
    path: (*path[:-1], path[-1].replace('conv', 'bn'))
    for path in sorted(convolutions, key=_by_number)
  }


@functools.partial(jax.jit, static_argnames=('model', 'paths', 'train'))
def _by_image(
  variables: dict[str, Any],
  images: jax.Array | np.ndarray,
  *,
  model: ResNet,
  paths: tuple[tuple[str, ...], ...],
  train: bool,
) -> list[tuple[jax.Array, jax.Array]]:
  """Mean and variance over positions, [images, channels], of each BN."""
  _, updates = model.apply(
    {k: variables[k] for k in ('params', 'batch_stats')},
    variables['normalization'](images),
    train=train,
    mutable=['batch_stats', 'intermediates'],
    capture_intermediates=lambda module, _: module.path in paths,
  )
  captured = traverse_util.flatten_dict(updates['intermediates'])
  moments = []
  for path in paths:
    (response,) = captured[(*path, '__call__')]
    response = response.astype(jnp.promote_types(response.dtype, jnp.float32))
    moments.append((response.mean((1, 2)), response.var((1, 2))))
  return moments


def _sums(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
  """Sums over images of mean, squared mean and variance; [3, channels].

  In float64, in which the squares may be subtracted later.
  """
  means, variances = means.astype(np.float64), variances.astype(np.float64)
  return np.stack([means, np.square(means), variances]).sum(1)


def _std(moments: np.ndarray, pooling: Pooling) -> float:
  """The deviation of a layer, by the sums of `_sums` over their count."""
  mean, square, within = moments
  variance = within + np.maximum(square - np.square(mean), 0)
  if pooling == 'channels':
    return float(np.sqrt(variance).mean())
  # Channels have as many positions each: within them, and between them.
  return float(np.sqrt(variance.mean() + mean.var()))


def _by_number(path: tuple[str, ...]) -> list[int | str]:
  """A key that puts block10 after block9."""
  words = re.split(r'(\d+)', '/'.join(path))
  return [int(word) if word.isdigit() else word for word in words]


def _usable(count: int, definition: Definition) -> int:
  """Number of `count` images that are looked at."""
  count = min(count, definition.images)
  if definition.statistics == 'batch':
    count -= count % definition.batch_size
  return count


def _check_groups(group: int, count: int, definition: Definition) -> None:
  size = definition.batch_size
  if _usable(count, definition) == 0:
    raise UserError(
      f'{min(count, definition.images)} images fill no batch of {size}, whose '
      f'statistics are asked for; take more images, a smaller batch_size, or '
      f"statistics 'running'"
    )
  if group and size % group:
    raise UserError(
      f'batch_size {size} of layer responses is not a multiple of the BN '
      f'groups of {group} examples that the network was trained with; try '
      f'{-(-size // group) * group}'
    )


def _first_images(
  data: Data, config: ml_collections.ConfigDict, definition: Definition
) -> np.ndarray:
  """The first images of the split, uint8; pictures are cropped in the centre.

  Raises:
    UserError: there is no such split, or there are several hosts.
  """
  if definition.split not in data.sizes:
    raise UserError(
      f'{data.name} has no split {definition.split!r}'
      f'{did_you_mean(definition.split, data.sizes)}; it has '
      f'{", ".join(data.sizes)}'
    )
  if jax.process_count() > 1:  # each would look at other images
    raise UserError('layer responses are measured on one host; use one')
  config = config.copy_and_resolve_references()
  config.test.views = 'single'
  batches, count = [], 0
  for part in data.parts(
    definition.split, views_of(config), definition.batch_size
  ):
    batches.append(part.images[part.ids >= 0, 0])
    count += len(batches[-1])
    if count >= definition.images:
      break
  return np.concatenate(batches)[: definition.images]
