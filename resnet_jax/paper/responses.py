"""The standard deviation of layer responses (Fig. 7).

  content = measure(run / 'checkpoints/latest/64000', None, Definition())

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

from resnet_jax import errors, eval_only, experiment
from resnet_jax.config import checks
from resnet_jax.config.plan import create_model, views_of
from resnet_jax.data.feed import Data
from resnet_jax.models import ResNet
from resnet_jax.runs import checkpoint, finetune

_log = logging.getLogger('resnet_jax')

Pooling = Literal['all', 'channels']
Statistics = Literal['running', 'batch']


@dataclasses.dataclass(frozen=True)
class Definition:
  """What the paper leaves open about Fig. 7.

  Attributes:
    split: whose images are looked at. The section argues about optimization
      ("closer to zero"), not about generalization: so the training images.
    images: how many, the first in the split's order, not augmented; fewer where
      there are fewer. Folders are in the order of classes: there, take many.
    pooling: 'all': one deviation over images, positions and channels.
      'channels': that of each channel over images and positions, averaged over
      the channels. The paper speaks of the deviation of a layer's responses and
      of no average. After BN that of one channel is nearly |scale|, whatever
      the images, and its offset would not count as response.
    statistics: what BN normalizes with: 'running' averages, as the trained
      network is used, or those of the 'batch', as in training.
    batch_size: images at a time. It matters to 'batch' alone: BN's groups are
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
        raise errors.UserError(
          f'{field} of layer responses is {value!r}; it must be a whole number '
          f'of at least 1'
        )
    for field, choices in (('pooling', Pooling), ('statistics', Statistics)):
      value, names = getattr(self, field), get_args(choices)
      if value not in names:
        raise errors.UserError(
          f'{field} of layer responses is {value!r}'
          f'{errors.did_you_mean(str(value), names)}; it can be '
          f'{" or ".join(map(repr, names))}'
        )


@dataclasses.dataclass(frozen=True)
class Response:
  """Of one layer: the path of its convolution, and the deviation."""

  path: str
  std: float


def measure(
  path: str | pathlib.Path,
  config: ml_collections.ConfigDict | None,
  definition: Definition,
) -> dict[str, Any]:
  """The responses of a checkpoint, as they are written to JSON.

  Args:
    path: of the checkpoint, SERIES/STEP.
    config: where the images are; None: as the checkpoint says.
    definition: of the responses.

  Raises:
    UserError: there is no such checkpoint, split or BN, or BN's groups do not
      fit; or as `data.load.load`.
  """
  found = checkpoint.read_step(path)
  if config is None:
    config = eval_only.config_of(found)
  checks.check(config)
  config = config.copy_and_resolve_references()
  finetune.adopt_network(config, found)
  data = experiment.load_data(config)
  if found.meta['data'] != data.fingerprint:
    _log.info('%s was trained on other data than these', found.path)
  # The head gives no response, so the data may well be of other classes.
  classes = len(found.meta['class_names'])
  model = create_model(config, num_classes=classes)
  template = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, *data.image_shape))
  )
  variables = finetune.variables_of(found, template)
  images = _first_images(data, config, definition)
  found_responses = responses(model, variables, images, definition)
  return {
    'definition': dataclasses.asdict(definition),
    'network': config.model.name,
    'data': data.name,
    'step': found.step,
    'images': _usable(len(images), definition),
    'layers': [dataclasses.asdict(response) for response in found_responses],
  }


def responses(
  model: ResNet,
  variables: dict[str, Any],
  images: np.ndarray,
  definition: Definition,
) -> list[Response]:
  """The responses of a network to images, from the first layer to the last.

  Args:
    model: the network.
    variables: as `evaluate.variables_of` returns.
    images: uint8 [examples, height, width, channels]; at most
      `definition.images` of them are looked at.
    definition: of the responses.

  Raises:
    UserError: there is no BN, or its groups do not fit the batches.
  """
  layers = layers_of(variables)
  count, size = _usable(len(images), definition), definition.batch_size
  batch_statistics = definition.statistics == 'batch'
  if batch_statistics:
    _check_groups(model.bn_group_size, len(images), definition)
  else:
    size = min(size, count)
  # Frozen BN would use running averages, whatever is asked for.
  model = model.clone(
    axis_name=None, remat=False, frozen_bn=False, frozen_stages=0
  )
  step = functools.partial(
    _by_image,
    model=model,
    paths=tuple(layers.values()),
    train=batch_statistics,
  )
  total = None
  for start in range(0, count, size):
    real = min(size, count - start)
    # The last batch is filled up, or its shape would be compiled anew.
    places = start + np.arange(size) % real
    parts = [
      _Moments.of(means[:real], variances[:real])
      for means, variances in jax.device_get(step(variables, images[places]))
    ]
    total = parts if total is None else list(map(_Moments.merge, total, parts))
  return [
    Response('/'.join(path), moments.std(definition.pooling))
    for path, moments in zip(layers, total, strict=True)
  ]


def layers_of(
  variables: dict[str, Any],
) -> dict[tuple[str, ...], tuple[str, ...]]:
  """The 3x3 convolutions on the main path, in order, each with its BN.

  ImageNet's stem is 7x7, and projections are 1x1: neither is among them.

  Args:
    variables: of a network; shapes will do.

  Returns:
    Paths of BN modules, by paths of convolutions.

  Raises:
    UserError: a convolution is followed by no BN.
  """
  params = traverse_util.flatten_dict(variables['params'])
  convolutions = [
    path[:-1]
    for path, x in params.items()
    if path[-1] == 'kernel' and x.shape[:-2] == (3, 3)
  ]
  layers = {}
  for path in sorted(convolutions, key=_by_number):
    layers[path] = (*path[:-1], path[-1].replace('conv', 'bn'))
    if (*layers[path], 'scale') not in params:
      raise errors.UserError(
        f'{"/".join(path)} of this network is followed by no BN, and Fig. 7 is '
        f'of responses after BN; use a plain or a residual network'
      )
  return layers


@dataclasses.dataclass(frozen=True)
class _Moments:
  """Of the responses of a layer to some images, by channel, in float64.

  Attributes:
    count: of images.
    mean: [channels].
    spread: the sum over images of the mean squared deviation, [channels].
  """

  count: int
  mean: np.ndarray
  spread: np.ndarray

  @classmethod
  def of(cls, means: np.ndarray, variances: np.ndarray) -> '_Moments':
    """From those of each image over its positions, [images, channels]."""
    means, variances = means.astype(np.float64), variances.astype(np.float64)
    mean = means.mean(0)
    spread = variances.sum(0) + np.square(means - mean).sum(0)
    return cls(len(means), mean, spread)

  def merge(self, other: '_Moments') -> '_Moments':
    """Of both sets of images; no large sums are subtracted."""
    count = self.count + other.count
    shift = other.mean - self.mean
    return _Moments(
      count,
      self.mean + shift * (other.count / count),
      self.spread
      + other.spread
      + np.square(shift) * (self.count * other.count / count),
    )

  def std(self, pooling: Pooling) -> float:
    variance = self.spread / self.count
    if pooling == 'channels':
      return float(np.sqrt(variance).mean())
    # Channels have as many positions each: within them, and between them.
    return float(np.sqrt(variance.mean() + self.mean.var()))


@functools.partial(jax.jit, static_argnames=('model', 'paths', 'train'))
def _by_image(
  variables: dict[str, Any],
  images: jax.Array,
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


def _by_number(path: tuple[str, ...]) -> list[Any]:
  """A key that puts block10 after block9."""
  words = re.split(r'(\d+)', '/'.join(path))
  return [int(word) if word.isdigit() else word for word in words]


def _usable(count: int, definition: Definition) -> int:
  """How many of `count` images are looked at."""
  count = min(count, definition.images)
  if definition.statistics == 'batch':
    count -= count % definition.batch_size
  return count


def _check_groups(group: int, count: int, definition: Definition) -> None:
  size = definition.batch_size
  if _usable(count, definition) == 0:
    raise errors.UserError(
      f'{min(count, definition.images)} images fill no batch of {size}, whose '
      f'statistics are asked for; take more images, a smaller batch_size, or '
      f"statistics 'running'"
    )
  if group and size % group:
    raise errors.UserError(
      f'batch_size {size} of layer responses is not a multiple of the BN '
      f'groups of {group} examples that the network was trained with; try '
      f'{-(-size // group) * group}'
    )


def _first_images(
  data: Data, config: ml_collections.ConfigDict, definition: Definition
) -> np.ndarray:
  """The first images of the split; pictures as centre crops. uint8."""
  if definition.split not in data.sizes:
    raise errors.UserError(
      f'{data.name} has no split {definition.split!r}'
      f'{errors.did_you_mean(definition.split, data.sizes)}; it has '
      f'{", ".join(data.sizes)}'
    )
  if jax.process_count() > 1:  # each would look at other images
    raise errors.UserError('layer responses are measured on one host; use one')
  config = config.copy_and_resolve_references()
  config.test.views = 'single'
  views = views_of(config)
  batches, count = [], 0
  for part in data.parts(definition.split, views, definition.batch_size):
    batches.append(part.images[part.ids >= 0, 0])
    count += len(batches[-1])
    if count >= definition.images:
      break
  return np.concatenate(batches)[: definition.images]
