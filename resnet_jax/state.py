"""The pytrees of a training step: the state it updates, and its metrics."""

from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from resnet_jax import models
from resnet_jax.data.normalization import Normalization
from resnet_jax.placement import INIT
from resnet_jax.schedules import Schedule, ScheduleState

# A step that never comes.
NEVER = np.iinfo(np.int32).max


class TrainState(flax.struct.PyTreeNode):
  """Everything a step updates, plus the normalization its weights need.

  Attributes:
    step: Steps done, int32.
    params, batch_stats: The network's variables; the latter are empty without
      BN.
    opt_state: The state of the Optax optimizer.
    schedule: The state of the learning rate's schedule.
    normalization: The normalization of images, which never changes: the weights
      are of use only with it.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: optax.OptState
  schedule: ScheduleState
  normalization: Normalization

  def variables(self) -> dict[str, Any]:
    """Params, batch_stats and normalization, as evaluation takes them."""
    return {
      'params': self.params,
      'batch_stats': self.batch_stats,
      'normalization': self.normalization,
    }


@flax.struct.dataclass
class First(clu.metrics.Metric):
  """The smallest step that was reported."""

  step: jax.Array

  @classmethod
  def empty(cls) -> 'First':
    return cls(jnp.int32(NEVER))

  @classmethod
  def from_model_output(cls, step: jax.Array, **_: Any) -> 'First':
    return cls(step)

  def merge(self, other: 'First') -> 'First':
    return type(self)(jnp.minimum(self.step, other.step))

  def compute(self) -> jax.Array:
    return self.step


@flax.struct.dataclass
class Metrics(clu.metrics.Collection):
  """Sums and counts of examples: means over any number of batches are exact.

  Attributes:
    loss: Cross-entropy in nats.
    error: Top-1 error, a fraction.
  """

  # clu makes these types by a call, which a type checker cannot follow.
  loss: clu.metrics.Average.from_output('loss')  # type: ignore[valid-type]
  error: clu.metrics.Average.from_output('error')  # type: ignore[valid-type]


@flax.struct.dataclass
class TrainMetrics(Metrics):
  """The `Metrics` of the steps since the last record, and two of their own.

  Attributes:
    learning_rate: Learning rate of the newest step.
    first_nonfinite: The first step whose loss was not finite, or `NEVER`.
  """

  loss: clu.metrics.Average.from_output('loss')  # type: ignore[valid-type]
  error: clu.metrics.Average.from_output('error')  # type: ignore[valid-type]
  learning_rate: clu.metrics.LastValue
  first_nonfinite: First


def create_state(
  model: models.Network,
  optimizer: optax.GradientTransformation,
  schedule: Schedule,
  *,
  seed: int,
  image_shape: tuple[int, int, int],
  normalization: Normalization,
) -> TrainState:
  """The state before the first step.

  Args:
    model: The network.
    optimizer: The update rule, from `optim.create`.
    schedule: The learning rate.
    seed: Seed of the initial weights.
    image_shape: Height, width and channels.
    normalization: The normalization of images.
  """
  key = jax.random.fold_in(jax.random.key(seed), INIT)
  variables = models.init(model, key, image_shape)
  return TrainState(
    step=jnp.int32(0),
    params=variables['params'],
    batch_stats=variables.get('batch_stats', {}),
    opt_state=optimizer.init(variables['params']),
    schedule=schedule.init(),
    normalization=jax.tree.map(jnp.asarray, normalization),
  )
