"""The compiled steps: train, evaluate, collect BN statistics.

This file alone knows about pmap, replication and collectives. A state goes in
and comes out whole (`in_axes=None`): its arrays look like one copy and are one
on each device, and nothing is ever indexed by device. The one mapped argument
is the number of each device, which says what share of the batch it takes.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from resnet_jax.data import on_device
from resnet_jax.models import ResNet
from resnet_jax.schedules import Schedule, ScheduleState

AXIS = 'batch'
NEVER = np.iinfo(np.int32).max

# Purposes of randomness: each has a key of its own under the run's seed.
_INIT, _AUGMENT = 0, 1


@flax.struct.dataclass
class TrainState:
  """All that training changes, and what its results mean nothing without.

  Attributes:
    step: steps done, int32.
    params, batch_stats: the network's variables.
    opt_state: Optax's.
    schedule: of the learning rate.
    mean_image: per-pixel training mean, float32 [height, width, channels]: it
      never changes, and the weights are of use only with it.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: optax.OptState
  schedule: ScheduleState
  mean_image: jax.Array


@flax.struct.dataclass
class _First(clu.metrics.Metric):
  """The smallest step that was reported."""

  step: jax.Array

  @classmethod
  def empty(cls) -> '_First':
    return cls(jnp.int32(NEVER))

  @classmethod
  def from_model_output(cls, step: jax.Array, **_: Any) -> '_First':
    return cls(step)

  def merge(self, other: '_First') -> '_First':
    return type(self)(jnp.minimum(self.step, other.step))

  def compute(self) -> jax.Array:
    return self.step


@flax.struct.dataclass
class Metrics(clu.metrics.Collection):
  """Sums and counts of examples: means over any number of batches are exact.

  Attributes:
    loss: cross-entropy in nats.
    error: top-1 error, a fraction.
  """

  loss: clu.metrics.Average.from_output('loss')
  error: clu.metrics.Average.from_output('error')


@flax.struct.dataclass
class TrainMetrics(Metrics):
  """As `Metrics`, over the steps since the last record.

  Attributes:
    learning_rate: of the newest step.
    first_nonfinite: the first step whose loss was not finite, or `NEVER`.
  """

  loss: clu.metrics.Average.from_output('loss')
  error: clu.metrics.Average.from_output('error')
  learning_rate: clu.metrics.LastValue
  first_nonfinite: _First


def create_state(
  model: ResNet,
  optimizer: optax.GradientTransformation,
  schedule: Schedule,
  *,
  seed: int,
  mean_image: np.ndarray,
) -> TrainState:
  """The state before the first step."""
  key = jax.random.fold_in(jax.random.key(seed), _INIT)
  images = jnp.zeros((1, *mean_image.shape), jnp.float32)
  variables = jax.jit(model.init)(key, images)
  return TrainState(
    step=jnp.int32(0),
    params=variables['params'],
    batch_stats=variables['batch_stats'],
    opt_state=optimizer.init(variables['params']),
    schedule=schedule.init(),
    mean_image=jnp.asarray(mean_image, jnp.float32),
  )


@dataclasses.dataclass(frozen=True)
class Batching:
  """Which examples a step trains on, and how they are augmented.

  Attributes:
    seed: of the run.
    batch_size: global.
    pad, flip: see `on_device.train_batch`.
  """

  seed: int
  batch_size: int
  pad: int
  flip: bool

  def share(
    self,
    examples: on_device.Examples,
    order: on_device.Order,
    mean_image: jax.Array,
    step: jax.Array,
    replica: jax.Array,
  ) -> tuple[jax.Array, jax.Array]:
    """Images and labels of device number `replica` in `step`."""
    size = self.batch_size // jax.device_count()
    first = step * self.batch_size + replica * size
    return on_device.train_batch(
      examples,
      order,
      mean_image,
      first + jnp.arange(size, dtype=jnp.int32),
      key=jax.random.fold_in(jax.random.key(self.seed), _AUGMENT),
      pad=self.pad,
      flip=self.flip,
    )


def make_train_step(
  model: ResNet,
  optimizer: optax.GradientTransformationExtraArgs,
  schedule: Schedule,
  batching: Batching,
  *,
  label_smoothing: float = 0.0,
) -> Callable[..., tuple[TrainState, TrainMetrics]]:
  """One step of training, compiled for all devices.

  Returns:
    step(state, metrics, examples, order, replicas()) -> state, metrics; the
    state that is passed is consumed.
  """

  @functools.partial(
    jax.pmap,
    axis_name=AXIS,
    in_axes=(None, None, None, None, 0),
    out_axes=None,
    donate_argnums=0,
  )
  def train_step(
    state: TrainState,
    metrics: TrainMetrics,
    examples: on_device.Examples,
    order: on_device.Order,
    replica: jax.Array,
  ) -> tuple[TrainState, TrainMetrics]:
    images, labels = batching.share(
      examples, order, state.mean_image, state.step, replica
    )

    def loss_fn(params: Any) -> tuple[jax.Array, tuple[jax.Array, ...]]:
      logits, updates = model.apply(
        {'params': params, 'batch_stats': state.batch_stats},
        images,
        train=True,
        mutable=['batch_stats'],
      )
      losses = cross_entropy(logits, labels, label_smoothing)
      return losses.mean(), (logits, losses, updates['batch_stats'])

    gradient_fn = jax.grad(loss_fn, has_aux=True)
    gradients, (logits, losses, batch_stats) = gradient_fn(state.params)
    # Shares are of one size: the mean of their means is the batch's mean.
    gradients = jax.lax.pmean(gradients, AXIS)

    learning_rate = schedule.at(state.step, state.schedule)
    updates, opt_state = optimizer.update(
      gradients, state.opt_state, state.params, learning_rate=learning_rate
    )
    batch = _sum_over_devices(logits, labels, losses)
    batch = TrainMetrics(
      **vars(batch),
      learning_rate=clu.metrics.LastValue.from_model_output(learning_rate),
      first_nonfinite=_First(
        jnp.where(jnp.isfinite(batch.loss.total), NEVER, state.step)
      ),
    )
    state = state.replace(
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      batch_stats=batch_stats,
      opt_state=opt_state,
      schedule=schedule.update(
        state.schedule, state.step, batch.error.total, batching.batch_size
      ),
    )
    return state, metrics.merge(batch)

  return train_step


def make_eval_step(model: ResNet, *, batch_size: int) -> Callable[..., Metrics]:
  """One batch of an evaluation, compiled for all devices.

  Returns:
    step(variables, metrics, examples, start, replicas()) -> metrics, for
    examples `start` to `start + batch_size`; those past the end do not count.
    `variables` are a dict of params, batch_stats and mean_image.
  """
  share = batch_size // jax.device_count()

  @functools.partial(
    jax.pmap,
    axis_name=AXIS,
    in_axes=(None, None, None, None, 0),
    out_axes=None,
  )
  def eval_step(
    variables: dict[str, Any],
    metrics: Metrics,
    examples: on_device.Examples,
    start: jax.Array,
    replica: jax.Array,
  ) -> Metrics:
    index = start + replica * share + jnp.arange(share, dtype=jnp.int32)
    last = len(examples.labels) - 1
    mask = index <= last
    index = jnp.minimum(index, last)
    images = on_device.normalize(
      examples.images[index], variables['mean_image']
    )
    labels = examples.labels[index]
    logits = model.apply(
      {k: variables[k] for k in ('params', 'batch_stats')}, images
    )
    losses = cross_entropy(logits, labels)
    return metrics.merge(_sum_over_devices(logits, labels, losses, mask))

  return eval_step


def make_batch_stats_step(
  model: ResNet, batching: Batching
) -> Callable[..., Any]:
  """Adds up the BN statistics of training batches, compiled for all devices.

  Returns:
    step(state, total, step, examples, order, replicas()) -> total, with the
    statistics of the batch of `step` added.
  """
  # Keeping nothing of the old average leaves the batch's own statistics.
  model = model.clone(bn_momentum=0.0)

  @functools.partial(
    jax.pmap,
    axis_name=AXIS,
    in_axes=(None, None, None, None, None, 0),
    out_axes=None,
  )
  def batch_stats_step(
    state: TrainState,
    total: Any,
    step: jax.Array,
    examples: on_device.Examples,
    order: on_device.Order,
    replica: jax.Array,
  ) -> Any:
    images, _ = batching.share(examples, order, state.mean_image, step, replica)
    _, updates = model.apply(
      {'params': state.params, 'batch_stats': state.batch_stats},
      images,
      train=True,
      mutable=['batch_stats'],
    )
    return jax.tree.map(jnp.add, total, updates['batch_stats'])

  return batch_stats_step


def cross_entropy(
  logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0
) -> jax.Array:
  """Per example, in nats, [examples]; logits [examples, classes]."""
  if label_smoothing == 0:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
  targets = optax.smooth_labels(targets, label_smoothing)
  return optax.softmax_cross_entropy(logits, targets)


def replicas() -> jax.Array:
  """The number of each of this host's devices among all, int32."""
  devices = jax.local_devices()
  first = jax.process_index() * len(devices)
  numbers = np.arange(first, first + len(devices), dtype=np.int32)
  mesh = Mesh(devices, (AXIS,))
  return jax.device_put(numbers, NamedSharding(mesh, PartitionSpec(AXIS)))


def replicate(tree: Any) -> Any:
  """A copy of the host's arrays on each of its devices."""
  mesh = Mesh(jax.local_devices(), (AXIS,))
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def _sum_over_devices(
  logits: jax.Array,
  labels: jax.Array,
  losses: jax.Array,
  mask: jax.Array | None = None,
) -> Metrics:
  wrong = (logits.argmax(-1) != labels).astype(jnp.float32)
  local = Metrics.single_from_model_output(
    loss=losses.astype(jnp.float32), error=wrong, mask=mask
  )
  return jax.lax.psum(local, AXIS)
