"""The first lines of a run: which network and data, on what, for how long."""

import os

import jax
import ml_collections
import numpy as np

from resnet_jax import models
from resnet_jax.config.plan import has_bn
from resnet_jax.data.feed import Data
from resnet_jax.data.views import Views
from resnet_jax.experiment import Experiment


def describe(run: Experiment) -> str:
  """Four lines: network, data, devices and batch, steps and recipe."""
  config, plan = run.config, run.plan
  devices, hosts = jax.local_device_count(), jax.process_count()
  batch = config.batch_size
  norm = 'no BN'
  if has_bn(config):
    norm = f'BN over groups of {config.model.bn_group_size or batch}'
  plural = '' if hosts == 1 else 's'
  parts = config.run.microbatches
  backend = jax.default_backend()
  if backend == 'cpu':
    backend = f'cpu, {os.cpu_count()} cores'
  return '\n'.join(
    [
      describe_network(run.model, config, run.data),
      describe_data(run.data, run.evaluator.views),
      f'{hosts} host{plural} x {devices} {jax.devices()[0].device_kind} '
      f'({backend}); batch {batch} in all, {batch // hosts} a '
      f'host, {batch // jax.device_count()} a device'
      f'{f" in {parts} parts" if parts > 1 else ""}; {norm}',
      f'{plan.steps:,} steps = {plan.steps / plan.steps_per_epoch:,.1f} '
      f'epochs; {run.schedule.describe()}; momentum '
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
  rounded = ', products rounded to TF32 where the device can'
  if config.model.precision == 'float32':
    rounded = ''
  return (
    f'{", ".join([config.model.name, *departures])}: '
    f'{models.count_params(params):,} parameters, {macs / 1e6:,.2f} million '
    f'multiply-adds an image, {config.model.dtype}{rounded}'
  )


def describe_data(data: Data, views: Views) -> str:
  """The sets to train and test on, and the views of the test, on one line."""
  sizes = ', '.join(f'{n:,} {split}' for split, n in data.sizes.items())
  shape = 'x'.join(map(str, data.image_shape))
  return (
    f'{data.name}: {sizes}; {shape}, {len(data.class_names)} classes; tested '
    f'on {views.describe()}'
  )
