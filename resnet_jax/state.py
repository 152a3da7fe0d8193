"""What training changes, and what it measures: the pytrees of a step."""

from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from resnet_jax.data.normalization import Normalization
from resnet_jax.models import Network
from resnet_jax.placement import INIT
from resnet_jax.schedules import Schedule, ScheduleState

NEVER = np.iinfo(np.int32).max


@flax.struct.dataclass
class TrainState:
  """All that training changes, and what its results mean nothing without.

  Attributes:
    step: steps done, int32.
    params, batch_stats: the network's variables; the latter are none where it
      has no BN.
    opt_state: Optax's.
    schedule: of the learning rate.
    normalization: of the images. It never changes, and the weights are of use
      only with it.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: optax.OptState
  schedule: ScheduleState
  normalization: Normalization


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
  first_nonfinite: First


def create_state(
  model: Network,
  optimizer: optax.GradientTransformation,
  schedule: Schedule,
  *,
  seed: int,
  image_shape: tuple[int, int, int],
  normalization: Normalization,
) -> TrainState:
  """The state before the first step."""
  key = jax.random.fold_in(jax.random.key(seed), INIT)
  images = jnp.zeros((1, *image_shape), jnp.float32)
  variables = jax.jit(model.init)(key, images)
  return TrainState(
    step=jnp.int32(0),
    params=variables['params'],
    batch_stats=variables.get('batch_stats', {}),
    opt_state=optimizer.init(variables['params']),
    schedule=schedule.init(),
    normalization=jax.tree.map(jnp.asarray, normalization),
  )
