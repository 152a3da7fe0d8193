"""What a config comes to on this machine: data, network, recipe, steps.

Training begins here, and all that can be refused is refused here, the cheap
checks first.
"""

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np
import optax

from resnet_jax import models, optim, schedules, state, step
from resnet_jax.config import checks
from resnet_jax.config.file import to_json
from resnet_jax.config.plan import Plan, create_model, has_bn, make_plan
from resnet_jax.data.feed import Data, Feed
from resnet_jax.data.load import load
from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.evaluate import Evaluator, recompute_batch_stats
from resnet_jax.placement import AXIS
from resnet_jax.runs import checkpoint, environment, finetune

_log = logging.getLogger('resnet_jax')


@dataclasses.dataclass
class Experiment:
  """The parts of a run; `origin` is the checkpoint whose network it took."""

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
    """As `initial_state`, with the weights that the config starts from."""
    fresh = self.initial_state()
    if self.origin is None:
      return fresh
    return finetune.start(
      self.config, self.origin, fresh, self.data.class_names
    )

  def train_step(self) -> Any:
    return step.make_train_step(
      self.model,
      self.optimizer,
      self.schedule,
      self.feed.make_batch,
      seed=self.config.seed,
      label_smoothing=self.config.label_smoothing,
      microbatches=self.config.run.microbatches,
    )

  def recompute_batch_stats(self, trained: state.TrainState) -> Any:
    """BN statistics over the batches that would follow the last step.

    A network without BN has none, and nothing is computed.
    """
    if not trained.batch_stats:
      return trained.batch_stats
    first, count = self.plan.steps, self.config.bn_recompute_batches
    return recompute_batch_stats(
      step.make_batch_stats_step(self.model, self.feed.make_batch),
      trained,
      ((np.int32(k), self.feed.at(k)) for k in range(first, first + count)),
      count=count,
    )

  def meta(self) -> dict[str, Any]:
    """What a checkpoint of this run must tell."""
    return {
      'config': to_json(self.config),
      'data': self.data.fingerprint,
      'num_classes': len(self.data.class_names),
      'class_names': list(self.data.class_names),
      'image_shape': list(self.data.image_shape),
      'origin': self.origin and self.origin.meta['origin'],
    }


def build(
  config: ml_collections.ConfigDict, origin: checkpoint.Found | None = None
) -> Experiment:
  """Loads the data of a config that was checked, and builds its parts.

  Args:
    config: of the run.
    origin: from `finetune.origin`; images are normalized as it wants.

  Raises:
    UserError: what is asked for cannot be run, here or anywhere.
  """
  checks.check_devices(config, jax.device_count())
  data = load_data(config)
  if origin is None:
    normalization = data.normalization(config)
  else:
    normalization = finetune.normalization_of(origin)
  plan = make_plan(config, data.sizes['train'])
  schedule = schedules.create(
    config.schedule, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch
  )
  if schedule.name == 'plateau':
    checks.check_validation(config, data.sizes)
  model = create_model(
    config, num_classes=len(data.class_names), axis_name=AXIS
  )
  _check_image_size(model, data)
  return Experiment(
    config=config,
    data=data,
    normalization=normalization,
    plan=plan,
    model=model,
    optimizer=optim.create(**config.optimizer.to_dict(), frozen=_frozen(model)),
    schedule=schedule,
    feed=data.feed(config),
    evaluator=Evaluator(config, data),
    origin=origin,
  )


def load_data(config: ml_collections.ConfigDict) -> Data:
  """The data of `config`, and the precision that it asks of JAX.

  Raises:
    UserError: as `data.load.load`.
  """
  if config.model.dtype == 'float64':
    jax.config.update('jax_enable_x64', True)
  _log.info('%s', environment.versions())
  dataset = config.dataset
  source = dataset.npz or dataset.folder or dataset.name
  _log.info('loading %s ...', source)
  return load(dataset)


def describe(experiment: Experiment) -> str:
  """The first lines of a run: what, on which data and devices, how long."""
  config, plan = experiment.config, experiment.plan
  devices, hosts = jax.local_device_count(), jax.process_count()
  batch = config.batch_size
  norm = 'no BN'
  if has_bn(config):
    norm = f'BN over groups of {config.model.bn_group_size or batch}'
  plural = '' if hosts == 1 else 's'
  parts = config.run.microbatches
  return '\n'.join(
    [
      describe_network(experiment.model, config, experiment.data),
      describe_data(experiment.data, experiment.evaluator),
      f'{hosts} host{plural} x {devices} {jax.devices()[0].device_kind} '
      f'({jax.default_backend()}); batch {batch} in all, {batch // hosts} a '
      f'host, {batch // jax.device_count()} a device'
      f'{f" in {parts} parts" if parts > 1 else ""}; {norm}',
      f'{plan.steps:,} steps = {plan.steps / plan.steps_per_epoch:,.1f} '
      f'epochs; {experiment.schedule.describe()}; momentum '
      f'{config.optimizer.momentum:g}, weight decay '
      f'{config.optimizer.weight_decay:g}',
    ]
  )


def describe_network(
  model: models.Network, config: ml_collections.ConfigDict, data: Data
) -> str:
  """Name, size and arithmetic, on one line."""
  params = jax.eval_shape(
    model.init,
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, *data.image_shape), np.float32),
  )
  macs = models.count_macs(model, data.image_shape)
  departures = [
    f'{field} {config.model[field]}'
    for field in ('shortcut', 'version', 'stem_pool')
    if config.model[field] is not None
  ]
  return (
    f'{", ".join([config.model.name, *departures])}: '
    f'{models.count_params(params):,} parameters, {macs / 1e6:,.2f} million '
    f'multiply-adds an image, {config.model.dtype}'
  )


def describe_data(data: Data, evaluator: Evaluator) -> str:
  """What there is to train and test on, on one line."""
  sizes = ', '.join(f'{n:,} {split}' for split, n in data.sizes.items())
  shape = 'x'.join(map(str, data.image_shape))
  return (
    f'{data.name}: {sizes}; {shape}, {len(data.class_names)} classes; tested '
    f'on {evaluator.views.describe()}'
  )


def _check_image_size(model: models.Network, data: Data) -> None:
  least = getattr(model, 'least_size', 1)
  if min(data.image_shape[:2]) < least:
    shape = 'x'.join(map(str, data.image_shape))
    raise UserError(
      f'config.model.name: the images of {data.name} are {shape} (of pictures, '
      f'config.dataset.crop_size), and this network needs at least '
      f'{least}x{least} pixels'
    )


def _frozen(
  model: models.Network,
) -> Callable[[tuple[str, ...]], bool] | None:
  """Which parameters stay as they are, by their path."""
  resnet = isinstance(model, models.ResNet)  # others have nothing to freeze
  if not resnet or not (model.frozen_stages or model.frozen_bn):
    return None
  stages = [('conv1', 'bn1'), *((name,) for name in model.stage_names)]
  names = sum(stages[: model.frozen_stages], ())

  def frozen(path: tuple[str, ...]) -> bool:
    norm = path[-1] == 'scale' or (path[-1] == 'bias' and path[0] != 'fc')
    return path[0] in names or (model.frozen_bn and norm)

  return frozen
