"""The parts of a run, built from its config: data, network, recipe, steps.

Everything that can be refused is refused here, the cheap checks first.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import ml_collections
import optax

from resnet_jax import models, optim, schedules, state
from resnet_jax.config import checks
from resnet_jax.config.file import to_json
from resnet_jax.config.plan import Plan, create_model, make_plan
from resnet_jax.data.feed import Data, Feed
from resnet_jax.data.load import load
from resnet_jax.data.normalization import Normalization
from resnet_jax.evaluate import Evaluator
from resnet_jax.placement import AXIS
from resnet_jax.runs import checkpoint, environment, finetune, restore

_log = logging.getLogger('resnet_jax')


@dataclasses.dataclass
class Experiment:
  """The parts of a run; `origin` is the checkpoint that it starts from."""

  config: ml_collections.ConfigDict
  data: Data
  normalization: Normalization
  plan: Plan
  model: models.Network
  optimizer: optax.GradientTransformationExtraArgs
  schedule: schedules.Schedule
  feed: Feed
  evaluator: Evaluator
  origin: checkpoint.Found | None

  def initial_state(self) -> state.TrainState:
    """The state before the first step, on the host."""
    return state.create_state(
      self.model,
      self.optimizer,
      self.schedule,
      seed=self.config.seed,
      image_shape=self.data.image_shape,
      normalization=self.normalization,
    )

  def first_state(self) -> state.TrainState:
    """The initial state, with the weights of `origin` in it if there is one."""
    fresh = self.initial_state()
    if self.origin is None:
      return fresh
    return finetune.start(
      self.config, self.origin, fresh, self.data.class_names
    )

  def meta(self) -> dict[str, Any]:
    """The facts that a checkpoint of this run is saved with."""
    return {
      'config': to_json(self.config),
      'data': self.data.fingerprint,
      'num_classes': len(self.data.class_names),
      'class_names': list(self.data.class_names),
      'image_shape': list(self.data.image_shape),
      'origin': self.origin and self.origin.meta['origin'],
    }


def build(
  config: ml_collections.ConfigDict,
  origin: checkpoint.Found | None = None,
  *,
  loader: Callable[[ml_collections.ConfigDict], Data] | None = None,
) -> Experiment:
  """Loads the data of a config that was checked, and builds its parts.

  Args:
    config: The run's; its network is that of `origin`, if there is one.
    origin: The checkpoint to start from, whose normalization of images is kept.
    loader: Loads the data in place of `load_data`, where the parts are wanted
      without the examples.

  Raises:
    UserError: what is asked for cannot be run, here or anywhere.
  """
  checks.check_devices(config, jax.device_count())
  data = (loader or load_data)(config)
  if origin is None:
    normalization = data.normalization(config)
  else:
    normalization = restore.read_normalization(origin)
  plan = make_plan(config, data.sizes['train'])
  schedule = schedules.create(
    config.schedule, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch
  )
  if schedule.name == 'plateau':
    checks.check_validation(data.sizes)
  model = create_model(
    config, num_classes=len(data.class_names), axis_name=AXIS
  )
  checks.check_image_size(model, data.name, data.image_shape)
  return Experiment(
    config=config,
    data=data,
    normalization=normalization,
    plan=plan,
    model=model,
    optimizer=optim.create(
      **config.optimizer.to_dict(), frozen=models.frozen_params(model)
    ),
    schedule=schedule,
    feed=data.feed(config),
    evaluator=Evaluator(config, data),
    origin=origin,
  )


def load_data(
  config: ml_collections.ConfigDict, classes: Sequence[str] | None = None
) -> Data:
  """The data of `config`, and the precision that it asks of JAX.

  Args:
    config: The run's.
    classes: See `data.load.load`.

  Raises:
    UserError: there are no such data, or they cannot be had here.
  """
  if config.model.dtype == 'float64':
    jax.config.update('jax_enable_x64', True)
  _log.info('%s', environment.versions())
  dataset = config.dataset
  source = dataset.npz or dataset.folder or dataset.name
  _log.info('loading %s ...', source)
  return load(dataset, classes)
