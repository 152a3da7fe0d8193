"""The cost of runs in multiply-adds, and in time on this machine."""

import functools
import math
import time
from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax import models, optim, schedules, step
from resnet_jax.config.plan import create_model
from resnet_jax.data.normalization import Normalization
from resnet_jax.paper.runs import Run, depth_of
from resnet_jax.paper.targets import Target
from resnet_jax.placement import AXIS, replicas, replicate
from resnet_jax.state import TrainMetrics, create_state

# Forward passes that a training step costs; its gradient costs two.
_PASSES = 3
# Images of the measured step on a CPU, by their height.
_CPU_BATCH = {32: 32, 224: 2}
_SECONDS = 2.0


def describe(
  target: Target, runs: Sequence[Run], done: Collection[Run], parallel: int
) -> str:
  """A line for each run, and the time for all; measures for some seconds.

  Args:
    target: The table or figure.
    runs: Those of its runs that are asked for.
    done: Those of them that take no time any more.
    parallel: Number of runs at a time.
  """
  if not runs:
    return (
      f'{target.name} is computed from the modules; there is nothing to run'
    )
  if len(done) == len(runs):
    return f'all {len(runs)} runs of {target.name} are done'
  smallest = min(runs, key=forward_macs)
  network = smallest.configuration().model.name
  speed, overhead = measure_speed(smallest)

  def estimate(run: Run) -> float:
    """Seconds, as if all networks reached the speed of the smallest."""
    deeper = depth_of(run.configuration().model.name) / depth_of(network)
    # Compiling the test and the BN statistics takes as long as the step.
    return training_macs(run) / speed + 2 * overhead * deeper

  seconds = {run: estimate(run) for run in runs if run not in done}
  lines = [f'{"run":42} {"M multiply-adds":>15} {"steps":>8} {"estimate":>9}']
  for run in runs:
    takes = _duration(seconds[run]) if run in seconds else 'done'
    departures = f'  [{run.departures}]' if run.departures else ''
    macs = f'{forward_macs(run) / 1e6:15,.1f}'
    lines.append(
      f'{run.name:42} {macs} {run.steps():8,} {takes:>9}{departures}'
    )
  at_a_time = f', {parallel} at a time' if parallel > 1 else ''
  lines.append(
    f'In all {_duration(sum(seconds.values()) / parallel)}{at_a_time}, '
    f'estimated from {speed / 1e9:,.1f} billion multiply-adds a second, which '
    f'a few training steps of {network} reached on {jax.device_count()} x '
    f'{jax.devices()[0].device_kind}. Reading data and tests come on top.'
  )
  return '\n'.join(lines)


def forward_macs(run: Run) -> int:
  """Multiply-adds of one image's forward pass."""
  model = run.configuration().model
  fields = {'shortcut': model.shortcut, 'version': model.version}
  given = {k: v for k, v in fields.items() if v is not None}
  return _macs(model.name, run.image_shape(), **given)


def training_macs(run: Run) -> float:
  """Multiply-adds of all training steps."""
  batch = run.configuration().batch_size
  return float(_PASSES * forward_macs(run) * batch * run.steps())


def measure_speed(run: Run) -> tuple[float, float]:
  """Times some training steps of the network of `run` on noise.

  On a CPU, a batch of a few images stands for the whole.

  Returns:
    Multiply-adds of whole training steps per second, and the seconds to build
    and compile one step.
  """
  config, shape = run.configuration(), run.image_shape()
  devices, batch = jax.device_count(), config.batch_size
  if jax.default_backend() == 'cpu':
    batch = min(batch, max(devices, _CPU_BATCH.get(shape[0], batch)))
  config.model.bn_group_size = 0
  share = batch // devices
  start = time.monotonic()
  train_step, state, metrics = _build(config, shape, share)
  numbers = replicas()

  def time_steps(count: int) -> float:
    nonlocal state, metrics
    begin = time.monotonic()
    for _ in range(count):
      state, metrics = train_step(state, metrics, (), numbers)
      jax.block_until_ready(metrics)
    return time.monotonic() - begin

  time_steps(1)
  overhead = time.monotonic() - start
  count = max(1, round(_SECONDS / time_steps(1)))
  macs = _PASSES * forward_macs(run) * share * devices
  return macs * count / time_steps(count), overhead


def _build(
  config: Any, shape: tuple[int, int, int], share: int
) -> tuple[Any, Any, Any]:
  """The training step, its state and its metrics, on every device."""
  model = create_model(config, num_classes=10, axis_name=AXIS)
  optimizer = optim.create(**config.optimizer.to_dict())
  schedule = schedules.create(
    config.schedule, steps=64_000, steps_per_epoch=1000
  )
  state = create_state(
    model,
    optimizer,
    schedule,
    seed=0,
    image_shape=shape,
    normalization=Normalization.by(np.zeros(shape[-1])),
  )
  make_batch = functools.partial(_noise, shape=(share, *shape))
  train_step = step.make_train_step(model, optimizer, schedule, make_batch)
  return train_step, *replicate((state, TrainMetrics.empty()))


def _noise(
  step: jax.Array,
  common: object,
  replica: jax.Array,
  normalization: Normalization,
  *,
  shape: tuple[int, ...],
) -> tuple[jax.Array, jax.Array]:
  """A batch in place of `feed.MakeBatch`: random images, all of one class."""
  del common, normalization
  key = jax.random.fold_in(jax.random.key(step), replica)
  return jax.random.normal(key, shape), jnp.zeros(shape[0], jnp.int32)


def _duration(seconds: float) -> str:
  if seconds < 3600:
    return f'{math.ceil(seconds / 60)} min'
  return f'{seconds / 3600:,.{0 if seconds > 36_000 else 1}f} h'


@functools.cache
def _macs(network: str, shape: tuple[int, int, int], **fields: Any) -> int:
  depth = depth_of(network)
  if network.startswith('cifar_') and depth > 110:
    # Tracing 1202 layers takes long, and each block more costs the same.
    kind = network.removesuffix(str(depth))
    base, next_one = (_macs(f'{kind}{d}', shape, **fields) for d in (20, 26))
    return base + (depth - 20) // 6 * (next_one - base)
  return models.count_macs(models.create(network, **fields), shape)
