"""What runs cost: their arithmetic, and a short measurement of this machine."""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax import models, optim, schedules, state, step
from resnet_jax.config.plan import create_model
from resnet_jax.data.normalization import Normalization
from resnet_jax.paper.runs import Run, depth_of
from resnet_jax.placement import AXIS, replicas, replicate

# A gradient costs two more passes, of the arithmetic of the first.
_PASSES = 3
# On a CPU, examples of the measured step: of 32x32 pixels, and of 224x224.
_CPU_BATCH = {32: 32, 224: 2}
_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Rate:
  """Of training on this machine.

  Attributes:
    network: that was measured.
    macs_per_second: multiply-adds of whole training steps.
    overhead: seconds to build and compile its step.
    device: in words.
  """

  network: str
  macs_per_second: float
  overhead: float
  device: str

  def seconds(self, run: Run) -> float:
    """What `run` may take, if others are as fast by their arithmetic.

    Its step, its test and its BN statistics are compiled: that counts twice.
    """
    network = run.configuration().model.name
    deeper = depth_of(network) / depth_of(self.network)
    return work_of(run) / self.macs_per_second + 2 * self.overhead * deeper


def macs_of(run: Run) -> int:
  """Multiply-adds of one image's forward pass."""
  model = run.configuration().model
  overrides = {
    field: model[field]
    for field in ('shortcut', 'version')
    if model[field] is not None
  }
  return _macs(model.name, run.image_shape(), **overrides)


def work_of(run: Run) -> float:
  """Multiply-adds of all training steps."""
  batch = run.configuration().batch_size
  return float(_PASSES * macs_of(run) * batch * run.steps())


def rate(run: Run) -> Rate:
  """Measures some training steps of the network of `run`, on noise.

  On a CPU, a batch of a few images stands for the whole.
  """
  start = time.monotonic()
  config, shape = run.configuration(), run.image_shape()
  devices = jax.device_count()
  batch = config.batch_size
  if jax.default_backend() == 'cpu':
    batch = min(batch, max(devices, _CPU_BATCH.get(shape[0], batch)))
  config.model.bn_group_size = 0
  train_step, train_state, metrics = _build(config, shape, batch // devices)
  share = replicas()

  def steps(count: int) -> float:
    nonlocal train_state, metrics
    begin = time.monotonic()
    for _ in range(count):
      train_state, metrics = train_step(train_state, metrics, (), share)
      jax.block_until_ready(metrics)
    return time.monotonic() - begin

  steps(1)
  overhead = time.monotonic() - start
  once = steps(1)
  count = max(1, round(_SECONDS / once))
  seconds = steps(count) / count
  work = _PASSES * macs_of(run) * (batch // devices * devices)
  kind = f'{devices} x {jax.devices()[0].device_kind}'
  return Rate(config.model.name, work / seconds, overhead, kind)


def _build(
  config: Any, shape: tuple[int, int, int], share: int
) -> tuple[Any, Any, Any]:
  """The compiled step, its state and its metrics."""
  model = create_model(config, num_classes=10, axis_name=AXIS)
  optimizer = optim.create(**config.optimizer.to_dict())
  schedule = schedules.create(
    config.schedule, steps=64_000, steps_per_epoch=1000
  )
  first = state.create_state(
    model,
    optimizer,
    schedule,
    seed=0,
    image_shape=shape,
    normalization=Normalization.by(np.zeros(shape[-1])),
  )
  make_batch = functools.partial(_noise, share=share, shape=shape)
  train_step = step.make_train_step(model, optimizer, schedule, make_batch)
  return train_step, *replicate((first, state.TrainMetrics.empty()))


def _noise(
  step: jax.Array,
  common: Any,
  replica: jax.Array,
  normalization: Normalization,
  *,
  share: int,
  shape: tuple[int, int, int],
) -> tuple[jax.Array, jax.Array]:
  """`feed.MakeBatch`, of no data."""
  del common, normalization
  key = jax.random.fold_in(jax.random.key(step), replica)
  images = jax.random.normal(key, (share, *shape))
  return images, jnp.zeros(share, jnp.int32)


@functools.cache
def _macs(network: str, shape: tuple[int, int, int], **overrides: str) -> int:
  depth = depth_of(network)
  if network.startswith('cifar_') and depth > 110:
    # Tracing 1202 layers takes long, and each block more costs the same.
    kind = network.removesuffix(str(depth))
    base, next_one = (_macs(f'{kind}{d}', shape, **overrides) for d in (20, 26))
    return base + (depth - 20) // 6 * (next_one - base)
  return models.count_macs(models.create(network, **overrides), shape)
