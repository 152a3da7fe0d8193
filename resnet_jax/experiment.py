"""What a config comes to on this machine: data, network, recipe, steps.

Training and evaluation alike begin here, and all that can be refused is
refused here, the cheap checks first.
"""

import dataclasses
import logging
from typing import Any

import jax
import ml_collections
import numpy as np
import optax

from resnet_jax import config as config_lib
from resnet_jax import environment, evaluate, models, optim, schedules, step
from resnet_jax.data import sources
from resnet_jax.data.arrays import ImageSet
from resnet_jax.data.on_device import Examples
from resnet_jax.data.order import OrderFeed
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')


@dataclasses.dataclass
class Experiment:
  """The parts of a run; `examples` are its splits on the devices."""

  config: ml_collections.ConfigDict
  images: ImageSet
  fingerprint: str
  plan: config_lib.Plan
  model: models.ResNet
  optimizer: optax.GradientTransformationExtraArgs
  schedule: schedules.Schedule
  examples: dict[str, Examples]
  feed: OrderFeed
  replicas: jax.Array
  eval_batch_size: int

  def initial_state(self) -> step.TrainState:
    """The state before the first step, on the host."""
    mean_image = self.images.train.images.mean(0, dtype=np.float64)
    return step.create_state(
      self.model,
      self.optimizer,
      self.schedule,
      seed=self.config.seed,
      mean_image=mean_image.astype(np.float32),
    )

  def batching(self) -> step.Batching:
    return step.Batching(
      seed=self.config.seed,
      batch_size=self.config.batch_size,
      pad=self.config.augment.pad,
      flip=self.config.augment.flip,
    )

  def train_step(self) -> Any:
    return step.make_train_step(
      self.model,
      self.optimizer,
      self.schedule,
      self.batching(),
      label_smoothing=self.config.label_smoothing,
    )

  def batch_stats_step(self) -> Any:
    return step.make_batch_stats_step(self.model, self.batching())

  def evaluator(self) -> Any:
    """evaluator(variables, split name) -> `evaluate.Result`."""
    eval_step = step.make_eval_step(self.model, batch_size=self.eval_batch_size)

    def run(variables: dict[str, Any], split: str) -> evaluate.Result:
      return evaluate.evaluate(
        eval_step,
        variables,
        self.examples[split],
        self.replicas,
        batch_size=self.eval_batch_size,
      )

    return run

  def recompute_batch_stats(self, state: step.TrainState) -> Any:
    """BN statistics over the batches that would follow the last step."""
    first = self.plan.steps
    batches = (
      (np.int32(k), self.examples['train'], self.feed.at(k))
      for k in range(first, first + self.config.bn_recompute_batches)
    )
    return evaluate.recompute_batch_stats(
      self.batch_stats_step(), state, batches, self.replicas
    )

  def meta(self) -> dict[str, Any]:
    """What a checkpoint of this run must tell."""
    return {
      'config': config_lib.to_json(self.config),
      'data': self.fingerprint,
      'num_classes': self.images.num_classes,
    }


def build(config: ml_collections.ConfigDict) -> Experiment:
  """Loads the data of a config that was checked, and builds its parts.

  Raises:
    UserError: what is asked for cannot be run, here or anywhere.
  """
  if config.model.dtype == 'float64':
    jax.config.update('jax_enable_x64', True)
  devices = jax.device_count()
  config_lib.check_devices(config, devices)
  _log.info('%s', environment.versions())
  _log.info('loading %s ...', config.dataset.npz or config.dataset.name)
  images = sources.load(config.dataset)
  smallest = min(images.image_shape[:2])
  if config.augment.pad >= smallest:
    raise UserError(
      f'config.augment.pad is {config.augment.pad}; images are '
      f'{images.image_shape[0]}x{images.image_shape[1]}, and crops that miss '
      f'them show nothing: it can be 0 to {smallest - 1}'
    )
  plan = config_lib.plan(config, len(images.train))
  schedule = schedules.create(
    config.schedule, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch
  )
  model = config_lib.create_model(
    config, num_classes=images.num_classes, axis_name=step.AXIS
  )
  optimizer = optim.create(**config.optimizer.to_dict())
  put = step.replicate
  splits = images.splits()
  largest = max(len(s) for name, s in splits.items() if name != 'train')
  eval_batch_size = min(config.run.eval_batch_size, largest)
  return Experiment(
    config=config,
    images=images,
    fingerprint=images.fingerprint(),
    plan=plan,
    model=model,
    optimizer=optimizer,
    schedule=schedule,
    examples={
      name: put(Examples(s.images, s.labels.astype(np.int32)))
      for name, s in splits.items()
    },
    feed=OrderFeed(
      seed=config.seed,
      examples=len(images.train),
      batch_size=config.batch_size,
      put=put,
    ),
    replicas=step.replicas(),
    # Evaluation is exact at any batch size, so round up and do not refuse.
    eval_batch_size=-(-eval_batch_size // devices) * devices,
  )


def describe(experiment: Experiment) -> str:
  """The first lines of a run: what, on which data and devices, how long."""
  config, images, plan = experiment.config, experiment.images, experiment.plan
  devices, hosts = jax.local_device_count(), jax.process_count()
  batch, group = config.batch_size, config.model.bn_group_size
  shape = 'x'.join(map(str, images.image_shape))
  params = jax.eval_shape(
    experiment.model.init,
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, *images.image_shape), np.float32),
  )
  macs = models.count_macs(experiment.model, images.image_shape)
  sizes = ', '.join(f'{len(s):,} {n}' for n, s in images.splits().items())
  plural = '' if hosts == 1 else 's'
  return '\n'.join(
    [
      f'{config.model.name}: {models.count_params(params):,} parameters, '
      f'{macs / 1e6:,.2f} million multiply-adds an image, '
      f'{config.model.dtype}',
      f'{images.name}: {sizes}; {shape}, {images.num_classes} classes',
      f'{hosts} host{plural} x {devices} {jax.devices()[0].device_kind} '
      f'({jax.default_backend()}); batch {batch} in all, {batch // hosts} a '
      f'host, {batch // jax.device_count()} a device; BN over groups of '
      f'{group or batch}',
      f'{plan.steps:,} steps = {plan.steps / plan.steps_per_epoch:,.1f} '
      f'epochs; {experiment.schedule.describe()}; momentum '
      f'{config.optimizer.momentum:g}, weight decay '
      f'{config.optimizer.weight_decay:g}',
    ]
  )
