"""What a configuration comes to: its network, its views, its plan in steps.

The fields themselves are declared in configs/common.py.
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


def views_of(config: ml_collections.ConfigDict) -> Views:
  """How `config.test` looks at an image."""
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

  Raises:
    UserError: as `models.create` raises ValueError, or the network cannot be
      tested as `config.test` says.
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
    # A field that is off says nothing that the network would have to know.
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
