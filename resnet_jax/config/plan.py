"""The network, the views and the plan in steps that a config asks for.

The fields of configs are declared in configs/common.py.
"""

import dataclasses
import functools
import operator

import ml_collections

from resnet_jax import models
from resnet_jax.config import durations
from resnet_jax.data.views import Views
from resnet_jax.errors import UserError
from resnet_jax.models import dense


@dataclasses.dataclass(frozen=True)
class Plan:
  """The durations of a run, in steps.

  Attributes:
    steps: Steps of the whole run.
    steps_per_epoch: Training examples over batch size, not rounded.
    eval_every: Steps between two evaluations.
    checkpoint_steps: Steps between two checkpoints; None where seconds count.
    checkpoint_seconds: Seconds between two checkpoints; None where steps count.
  """

  steps: int
  steps_per_epoch: float
  eval_every: int
  checkpoint_steps: int | None
  checkpoint_seconds: float | None


def views_of(config: ml_collections.ConfigDict) -> Views:
  """The views of `config.test`."""
  test, crop = config.test, config.dataset.crop_size
  if not crop:
    return Views(test.views, (), 0)
  dense = test.views == 'dense'
  sides = test.dense_shorter_sides if dense else (test.shorter_side,)
  return Views(test.views, tuple(sides), crop)


def create_model(
  config: ml_collections.ConfigDict,
  *,
  num_classes: int,
  axis_name: str | None = None,
) -> models.Network:
  """The network of `config.model`.

  Args:
    config: The run's.
    num_classes: Classes of the data.
    axis_name: The pmap axis that BN statistics are shared over; None for one
      device.

  Raises:
    UserError: `models.create` refuses a field, or the network cannot be tested
      as `config.test` says.
  """
  overrides = config.model.to_dict()
  overrides['frozen_stages'] = config.finetune.frozen_stages
  overrides['frozen_bn'] = config.finetune.frozen_bn
  overrides['axis_name'] = axis_name
  name = overrides.pop('name')
  overrides = {k: v for k, v in overrides.items() if v is not None}
  if not has_bn(config):
    for field in ('axis_name', 'bn_group_size', 'bn_momentum'):
      overrides.pop(field, None)
    # Fields that are off mean nothing to a network without BN.
    overrides = {k: v for k, v in overrides.items() if v}
  try:
    model = models.create(name, num_classes=num_classes, **overrides)
  except ValueError as e:
    raise UserError(f'config.model: {e}') from e
  if config.test.views == 'dense':
    try:
      dense.check(model)
    except ValueError as e:
      raise UserError(
        f"config.test.views 'dense' is not for {name}: {e}; it can be 'single' "
        f"or 'ten_crop'"
      ) from e
  return model


def has_bn(config: ml_collections.ConfigDict) -> bool:
  """Whether the network of `config.model` normalizes over examples."""
  return config.model.name not in models.baselines()


def make_plan(config: ml_collections.ConfigDict, train_examples: int) -> Plan:
  """The durations of `config` in steps, for so many training examples.

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


def _positive(
  config: ml_collections.ConfigDict,
  field: str,
  steps_per_epoch: float,
  total: int | None = None,
) -> int:
  text = functools.reduce(operator.getitem, field.split('.'), config)
  steps = durations.to_steps(
    text, field, steps_per_epoch=steps_per_epoch, total=total
  )
  if steps < 1:
    raise UserError(
      f'config.{field} {text!r} is {steps} steps; it must be at least 1'
    )
  return steps
