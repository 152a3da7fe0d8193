"""Reads a configuration, and refuses what cannot be run before it is run.

The fields themselves are declared in configs/common.py.
"""

import dataclasses
import importlib.util
import json
import math
import pathlib
import re
import sys
from typing import Any

import ml_collections
from absl import flags

from resnet_jax import durations, models, views
from resnet_jax.errors import UserError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Plan:
  """How a run is divided, in steps.

  Attributes:
    steps: of the whole run.
    steps_per_epoch: training examples over batch size, not rounded.
    eval_every: steps between evaluations.
    checkpoint_steps: steps between checkpoints, or None:
    checkpoint_seconds: seconds between them, or None.
  """

  steps: int
  steps_per_epoch: float
  eval_every: int
  checkpoint_steps: int | None
  checkpoint_seconds: float | None


def load_file(path: str) -> ml_collections.ConfigDict:
  """What `get_config()` of the file `path` returns.

  Raises:
    UserError: there is no such file, or it is no config file.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    raise UserError(_no_file(file))
  # Config files import `configs.common`, from wherever we are run.
  root = str(file.resolve().parent.parent)
  if root not in sys.path:
    sys.path.append(root)
  spec = importlib.util.spec_from_file_location('_config_file', file)
  if spec is None:
    raise UserError(f'--config: {file} is not a Python file')
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    config = module.get_config()
  except Exception as e:  # the file is the user's: it may raise anything
    raise UserError(
      f'--config: {file} cannot be read: {type(e).__name__}: {e}. It must '
      f'define get_config(); see configs/common.py'
    ) from e
  if not isinstance(config, ml_collections.ConfigDict):
    raise UserError(
      f'--config: get_config() of {file} returns {config!r}; it must return '
      f'the ConfigDict of configs/common.py with what differs set'
    )
  _check_fields(file, config)
  return config


def check_overrides(config: ml_collections.ConfigDict, argv: list[str]) -> None:
  """Refuses `--config.x=y` in `argv` where x is no field, or y no such value.

  Raises:
    UserError: naming the nearest field there is, or the type that it has.
  """
  fields = _fields(config.to_dict())
  for argument in argv:
    match = re.match(
      r'--?(?:no)?config\.([^=]+)(?:=(.*))?', argument, re.DOTALL
    )
    if not match:
      continue
    name, text = match.groups()
    if name in fields:
      if text is not None:
        _check_type(name, fields[name], text)
      continue
    if any(field.startswith(f'{name}.') for field in fields):
      raise UserError(
        f'--config.{name} is a group of fields; set one of them: '
        f'{", ".join(f for f in fields if f.startswith(f"{name}."))}'
      )
    leaf = name.split('.')[-1]
    same_leaf = [field for field in fields if field.split('.')[-1] == leaf]
    guess = did_you_mean(name, same_leaf or fields)
    if same_leaf and not guess:  # the right leaf in quite another group
      guess = f' (did you mean {same_leaf[0]!r}?)'
    raise UserError(
      f'there is no field config.{name}{guess}; '
      f'configs/common.py lists them all'
    )


def check(config: ml_collections.ConfigDict) -> None:
  """Refuses values that mean nothing, whatever the machine and the data.

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
  }
  for field, low in at_least.items():
    value = _get(config, field)
    if not value >= low or not math.isfinite(value):
      raise UserError(f'config.{field} is {value}; it must be at least {low}')
  for field in ('label_smoothing', 'model.bn_momentum', 'optimizer.momentum'):
    value = _get(config, field)
    if not 0 <= value < 1:
      raise UserError(f'config.{field} is {value}; it must be in [0, 1)')
  choices = {
    'model.dtype': ('float32', 'bfloat16', 'float64'),
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
  _check_data(config)
  create_model(config, num_classes=1)


def test_views(config: ml_collections.ConfigDict) -> views.Views:
  """How `config.test` looks at an image."""
  test, crop = config.test, config.dataset.crop_size
  if not crop:
    return views.Views(test.views, (), 0)
  dense = test.views == 'dense'
  sides = test.dense_shorter_sides if dense else (test.shorter_side,)
  return views.Views(test.views, tuple(sides), crop)


def create_model(
  config: ml_collections.ConfigDict,
  *,
  num_classes: int,
  axis_name: str | None = None,
) -> models.ResNet:
  """The network of `config.model`.

  Raises:
    UserError: as `models.create` raises ValueError.
  """
  overrides = config.model.to_dict()
  overrides['frozen_stages'] = config.finetune.frozen_stages
  overrides['frozen_bn'] = config.finetune.frozen_bn
  name = overrides.pop('name')
  overrides = {k: v for k, v in overrides.items() if v is not None}
  try:
    return models.create(
      name, num_classes=num_classes, axis_name=axis_name, **overrides
    )
  except ValueError as e:
    raise UserError(f'config.model: {e}') from e


def check_devices(config: ml_collections.ConfigDict, devices: int) -> None:
  """Refuses a batch that `devices` cannot share evenly, or with BN's groups.

  Raises:
    UserError: with the arithmetic, and the batch sizes nearby that would do.
  """
  batch, group = config.batch_size, config.model.bn_group_size
  if batch % devices:
    below = batch // devices * devices
    raise UserError(
      f'config.batch_size {batch} is not a multiple of {devices} devices; try '
      f'{f"{below} or " if below else ""}{below + devices}'
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
  frozen = config.finetune.frozen_bn
  if parts > 1 and not frozen and (share // parts) % (group or batch):
    raise UserError(
      f'config.run.microbatches {parts} leaves {share // parts} examples of a '
      f'device in a part, and BN groups of {group or batch} '
      f'(config.model.bn_group_size) must fit into one; a part must be a '
      f'multiple of that'
    )


def plan(config: ml_collections.ConfigDict, train_examples: int) -> Plan:
  """Durations in steps, once the size of the training set is known.

  Raises:
    UserError: a duration that cannot be read, or that is not above 0.
  """
  batch = config.batch_size
  if batch > train_examples:
    raise UserError(
      f'config.batch_size {batch} is larger than the training set of '
      f'{train_examples} examples; try {train_examples} or less'
    )
  per_epoch = train_examples / batch
  steps = _positive(config, 'duration', per_epoch)
  last_position = (steps + config.bn_recompute_batches) * batch
  if last_position >= 2**31:
    raise UserError(
      f'config.duration: {steps} steps of {batch} examples are more than '
      f'2**31 examples, and positions are counted in 32 bits'
    )
  seconds = durations.to_seconds(config.run.checkpoint_every)
  return Plan(
    steps=steps,
    steps_per_epoch=per_epoch,
    eval_every=_positive(config, 'run.eval_every', per_epoch, steps),
    checkpoint_steps=None
    if seconds is not None
    else _positive(config, 'run.checkpoint_every', per_epoch, steps),
    checkpoint_seconds=seconds,
  )


def check_validation(
  config: ml_collections.ConfigDict, sizes: dict[str, int]
) -> None:
  """Refuses to choose by what the result is read from.

  Args:
    config: of a run that chooses by validation error.
    sizes: examples, by split.

  Raises:
    UserError: there is no validation split.
  """
  if 'validation' not in sizes:
    raise UserError(
      f"config.schedule.name 'plateau' goes by the validation error, and the "
      f'data have only {", ".join(sizes)}; hold some out with '
      f'--config.dataset.validation_examples={max(1, sizes["train"] // 10)}'
    )


def to_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """`config` in the types of JSON, as it is written to disk."""
  return json.loads(json.dumps(config.to_dict()))


def result_changes(
  old: dict[str, Any], new: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
  """Fields that differ and change the result: field to (old, new) value.

  What is in `run` changes nothing, and where the data lies does not either:
  its content has a fingerprint of its own. Nor does where training started
  from: it has been loaded.
  """
  free = (
    'run.',
    'dataset.data_dir',
    'dataset.npz',
    'dataset.name',
    'dataset.folder',
    'dataset.mean_file',
    'finetune.checkpoint',
  )
  old, new = _fields(old), _fields(new)
  return {
    field: (old.get(field), new.get(field))
    for field in sorted(old.keys() | new.keys())
    if not field.startswith(free) and old.get(field) != new.get(field)
  }


def _check_data(config: ml_collections.ConfigDict) -> None:
  """Refuses what does not go with the kind of data that is asked for."""
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
  if dataset.folder and not dataset.crop_size:
    raise UserError(
      'config.dataset.folder is for pictures, which are cropped to '
      'config.dataset.crop_size, and that is 0; set it, such as 224'
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


def _fields(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  """Leaves by dotted name."""
  leaves = {}
  for key, value in tree.items():
    if isinstance(value, dict):
      leaves |= _fields(value, f'{prefix}{key}.')
    else:
      leaves[prefix + key] = value
  return leaves


def _check_fields(
  file: pathlib.Path, config: ml_collections.ConfigDict
) -> None:
  """Refuses fields that a config file made up, or left out."""
  try:
    from configs import common
  except ImportError:  # there is nothing to compare with
    return
  known, fields = (
    _fields(common.get_config().to_dict()),
    _fields(config.to_dict()),
  )
  for name in sorted(fields.keys() - known.keys()):
    raise UserError(
      f'--config: {file} sets {name!r}, and there is no such field'
      f'{did_you_mean(name, known)}; configs/common.py lists them all'
    )
  for name in sorted(known.keys() - fields.keys()):
    raise UserError(
      f'--config: {file} has no field {name!r}; start from '
      f'configs.common.get_config(), which has them all'
    )


def _check_type(name: str, default: Any, text: str) -> None:
  kinds = {
    bool: (flags.BooleanParser(), 'True or False'),
    int: (flags.IntegerParser(), 'a whole number'),
    float: (flags.FloatParser(), 'a number'),
  }
  if type(default) not in kinds:
    return
  parser, kind = kinds[type(default)]
  try:
    parser.parse(text)
  except ValueError as e:
    raise UserError(
      f'config.{name} cannot be {text!r}; it must be {kind}, such as {default}'
    ) from e


def _get(config: ml_collections.ConfigDict, field: str) -> Any:
  for part in field.split('.'):
    config = config[part]
  return config


def _positive(
  config: ml_collections.ConfigDict,
  field: str,
  steps_per_epoch: float,
  total: int | None = None,
) -> int:
  text = _get(config, field)
  steps = durations.to_steps(
    text, field, steps_per_epoch=steps_per_epoch, total=total
  )
  if steps < 1:
    raise UserError(
      f'config.{field} {text!r} is {steps} steps; it must be at least 1'
    )
  return steps


def _no_file(file: pathlib.Path) -> str:
  folder = file.parent if file.parent.is_dir() else pathlib.Path('configs')
  names = [f.name for f in sorted(folder.glob('*.py'))]
  return (
    f'--config: there is no file {file}{did_you_mean(file.name, names)}; '
    f'{folder}/ holds {", ".join(names) or "no configs"}'
  )
