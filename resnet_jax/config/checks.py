"""Refuses configs that cannot be run, before anything is loaded or trained."""

import math
from typing import Any

import ml_collections

from resnet_jax.config.file import fields as leaves
from resnet_jax.config.plan import create_model, has_bn
from resnet_jax.data import views
from resnet_jax.errors import UserError, did_you_mean
from resnet_jax.models import Network
from resnet_jax.models.precision import NAMES as PRECISIONS
from resnet_jax.paths import check_local

# Keys have 32 bits of a seed, and crops of pictures 31.
_SEEDS = 2**31


def check_seed(config: ml_collections.ConfigDict) -> None:
  """Refuses a seed that would train as another one does.

  Runs of before 0.3 may have such a seed, and go on; so only a run that begins
  is checked.

  Raises:
    UserError: naming the seed and the range.
  """
  if config.seed >= _SEEDS:
    raise UserError(
      f'config.seed is {config.seed}; it must be at most {_SEEDS - 1}: of '
      f'larger numbers only the lower bits would count, so that two of them '
      f'would start from the same weights'
    )


def check(config: ml_collections.ConfigDict) -> None:
  """Refuses values that have no meaning on any machine or data.

  Raises:
    UserError: naming the field, its value and what it can be.
  """
  check_numbers(config)
  for field in ('label_smoothing', 'model.bn_momentum', 'optimizer.momentum'):
    value = _get(config, field)
    if not 0 <= value < 1:
      raise UserError(f'config.{field} is {value}; it must be in [0, 1)')
  choices = {
    'model.dtype': ('float32', 'bfloat16', 'float64'),
    'model.precision': PRECISIONS,
    'dataset.mean': ('pixel', 'channel', 'imagenet'),
    'augment.crop': ('shorter_side', 'inception'),
    'test.views': views.NAMES,
  }
  for field, names in choices.items():
    value = _get(config, field)
    if value not in names:
      raise UserError(
        f'config.{field} is {value!r}{did_you_mean(value, names)}; it can be '
        f'{", ".join(names)}'
      )
  _check_sizes(config)
  for field in ('data_dir', 'npz', 'folder', 'mean_file'):
    check_local(config.dataset[field], f'config.dataset.{field}')
  check_local(config.finetune.checkpoint, 'config.finetune.checkpoint')
  _check_data(config)
  create_model(config, num_classes=1)


def check_numbers(config: ml_collections.ConfigDict) -> None:
  """Refuses numbers that are too small, or none.

  Raises:
    UserError: naming the field, its value and what it can be.
  """
  at_least = {
    'seed': 0,
    'batch_size': 1,
    'bn_recompute_batches': 0,
    'dataset.validation_examples': 0,
    'dataset.validation_seed': 0,
    'dataset.crop_size': 0,
    'dataset.max_damaged': 0,
    'augment.pad': 0,
    'augment.pca_std': 0,
    'model.bn_group_size': 0,
    'optimizer.weight_decay': 0,
    'schedule.plateau_window': 1,
    'schedule.plateau_threshold': 0,
    'finetune.frozen_stages': 0,
    'run.log_every': 1,
    'run.eval_batch_size': 1,
    'run.microbatches': 1,
    'run.checkpoints_kept': 1,
    'run.host_wait': 0,
    'run.host_timeout': 3,
  }
  for field, low in at_least.items():
    value = _get(config, field)
    finite = isinstance(value, int) or math.isfinite(value)
    if not value >= low or not finite:
      raise UserError(f'config.{field} is {value}; it must be at least {low}')


def check_devices(config: ml_collections.ConfigDict, devices: int) -> None:
  """Refuses a batch that `devices` cannot share evenly, or with BN's groups.

  Raises:
    UserError: with the arithmetic, and the batch sizes nearby that would do.
  """
  batch = config.batch_size
  # Frozen BN takes no statistics of a batch, so groups mean nothing.
  moving = has_bn(config) and not config.finetune.frozen_bn
  group = config.model.bn_group_size if moving else 0
  if batch % devices:
    # A multiple of both is one that the groups divide, too.
    step = math.lcm(devices, group or 1)
    below = batch // step * step
    raise UserError(
      f'config.batch_size {batch} is not a multiple of {devices} devices; try '
      f'{f"{below} or " if below else ""}{below + step}'
    )
  share = batch // devices
  if group and batch % group:
    below = batch // group * group
    raise UserError(
      f'config.batch_size {batch} is not a multiple of the BN groups of '
      f'{group} examples (config.model.bn_group_size); try a batch of '
      f'{f"{below} or " if below else ""}{below + group}, or a group size '
      f'that divides {batch}'
    )
  if group and share % group and group % share:
    raise UserError(
      f'config.batch_size {batch} on {devices} devices is {share} examples '
      f'each, and BN groups of {group} (config.model.bn_group_size) neither '
      f'divide that nor are a multiple of it; try a group of {share}'
    )
  parts = config.run.microbatches
  if share % parts:
    raise UserError(
      f'config.run.microbatches is {parts}, which does not divide the {share} '
      f'examples of a device (config.batch_size {batch} on {devices} devices)'
    )
  if parts > 1 and moving and (share // parts) % (group or batch):
    raise UserError(
      f'config.run.microbatches {parts} leaves {share // parts} examples of a '
      f'device in a part, and BN groups of {group or batch} '
      f'(config.model.bn_group_size) must fit into one; a part must be a '
      f'multiple of that'
    )


def check_validation(sizes: dict[str, int]) -> None:
  """Refuses the schedule 'plateau' on data without a validation split.

  It would lower the learning rate by the test error that is reported.

  Args:
    sizes: Examples, by split.

  Raises:
    UserError: there is no validation split.
  """
  if 'validation' not in sizes:
    raise UserError(
      f"config.schedule.name 'plateau' goes by the validation error, and the "
      f'data have only {", ".join(sizes)}; hold some out with '
      f'--config.dataset.validation_examples={max(1, sizes["train"] // 10)}'
    )


def check_image_size(
  model: Network, name: str, image_shape: tuple[int, int, int]
) -> None:
  """Refuses images that are too small for a network.

  Args:
    model: The network.
    name: Name of the data, for the message.
    image_shape: Height, width and channels.

  Raises:
    UserError: with the least size.
  """
  least = getattr(model, 'least_size', 1)
  if min(image_shape[:2]) < least:
    shape = 'x'.join(map(str, image_shape))
    raise UserError(
      f'config.model.name: the images of {name} are {shape} (of pictures, '
      f'config.dataset.crop_size), and this network needs at least '
      f'{least}x{least} pixels'
    )


def _check_sizes(config: ml_collections.ConfigDict) -> None:
  """Refuses whole numbers beyond 32 bits, in which devices count."""
  for field, value in leaves(config.to_dict()).items():
    seed = field in ('seed', 'dataset.validation_seed')
    if isinstance(value, int) and value >= 2**31 and not seed:
      raise UserError(
        f'config.{field} is {value}; it must be less than {2**31}'
      )


def _check_data(config: ml_collections.ConfigDict) -> None:
  """Refuses fields that do not go with the kind of data that is asked for."""
  dataset, augment = config.dataset, config.augment
  named = [name for name in ('npz', 'folder') if dataset[name]]
  if len(named) > 1:
    raise UserError(
      'config.dataset.npz and config.dataset.folder are both set; clear one '
      "with ''"
    )
  if not (named or dataset.name):
    raise UserError(
      'say which pictures: --config.dataset.folder=DIR, a folder with '
      'train/<class>/* and val/<class>/*'
    )
  if dataset.npz and dataset.crop_size:
    raise UserError(
      'config.dataset.npz is for images of one size, which are not cropped; '
      'set config.dataset.crop_size to 0'
    )
  if not dataset.crop_size:
    if config.test.views != 'single':
      raise UserError(
        f'config.test.views {config.test.views!r} is for pictures of many '
        f"sizes (config.dataset.crop_size above 0); here it can be 'single'"
      )
    if augment.pca_std:
      raise UserError(
        'config.augment.pca_std is for pictures (config.dataset.crop_size '
        'above 0); set it to 0'
      )
    return
  if augment.pad:
    raise UserError(
      f'config.augment.pad is {augment.pad}, and pictures are not padded '
      f'(config.dataset.crop_size is {dataset.crop_size}); set it to 0'
    )
  spans = {
    'augment.shorter_side': tuple(augment.shorter_side),
    'test.shorter_side': (config.test.shorter_side,),
    'test.dense_shorter_sides': tuple(config.test.dense_shorter_sides),
  }
  for field, sides in spans.items():
    whole = all(isinstance(side, int) for side in sides)
    if not sides or not whole or min(sides) < dataset.crop_size:
      raise UserError(
        f'config.{field} is {", ".join(map(str, sides)) or "empty"}; crops of '
        f'{dataset.crop_size} pixels (config.dataset.crop_size) need whole '
        f'numbers of at least that'
      )
  if len(augment.shorter_side) != 2 or (
    augment.shorter_side[0] > augment.shorter_side[1]
  ):
    raise UserError(
      f'config.augment.shorter_side is {tuple(augment.shorter_side)}; it must '
      f'be the least and the greatest length, such as (256, 480)'
    )


def _get(config: ml_collections.ConfigDict, field: str) -> Any:
  for part in field.split('.'):
    config = config[part]
  return config
