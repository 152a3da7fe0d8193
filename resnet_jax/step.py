"""The compiled steps: train, score, collect BN statistics.

`jax.pmap` is called in this file alone, and compiler.py compiles what it makes.
A state goes in and comes out whole (`in_axes=None`): its arrays look like one
copy and are one on each device, and nothing is ever indexed by device. Each
device's share of the batch is mapped: its images, or, where all examples live
on the device, its number, by which it picks them. Means over devices are in
collectives.py and in models/norm.py (BN groups that span devices).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import clu.metrics
import jax
import jax.numpy as jnp
import numpy as np
import optax

from resnet_jax.collectives import device_mean, device_sum
from resnet_jax.compiler import Compiled
from resnet_jax.data.feed import MakeBatch
from resnet_jax.data.views import Views
from resnet_jax.microbatches import in_parts
from resnet_jax.models import Network
from resnet_jax.placement import AXIS, DROPOUT, shard
from resnet_jax.schedules import Schedule
from resnet_jax.state import NEVER, First, Metrics, TrainMetrics, TrainState
from resnet_jax.views import log_probabilities

# Weight of the losses of auxiliary heads (Szegedy et al. 2014, Sec. 5).
_AUXILIARY = 0.3


def make_train_step(
  model: Network,
  optimizer: optax.GradientTransformationExtraArgs,
  schedule: Schedule,
  make_batch: MakeBatch,
  *,
  seed: int = 0,
  label_smoothing: float = 0.0,
  microbatches: int = 1,
  devices: Sequence[jax.Device] | None = None,
) -> Callable[..., tuple[TrainState, TrainMetrics]]:
  """One step of training, compiled for all devices.

  Args:
    model: The network, with `axis_name=AXIS` if it has BN.
    optimizer: The update rule, from `optim.create`.
    schedule: The learning rate.
    make_batch: The device's part of the input, from `data/feed.py`.
    seed: Seed of dropout, in networks that have it.
    label_smoothing: Share of the target that is spread over all classes.
    microbatches: Parts of a device's share that are computed one after the
      other, to save memory. The result is that of 1, since BN groups must not
      span parts.
    devices: The devices to compile for; None takes those of this job.

  Returns:
    step(state, metrics, common, share) -> state, metrics. The state that is
    passed is consumed. Metrics count the network's own head alone; gradients
    are of its auxiliary heads, too.
  """
  on_cpu = (devices or jax.local_devices())[0].platform == 'cpu'

  @functools.partial(
    jax.pmap,
    axis_name=AXIS,
    in_axes=(None, None, None, 0),
    out_axes=None,
    donate_argnums=0,
    devices=devices,
  )
  def train_step(
    state: TrainState, metrics: TrainMetrics, common: Any, share: Any
  ) -> tuple[TrainState, TrainMetrics]:
    images, labels = make_batch(state.step, common, share, state.normalization)
    keys = None  # a ResNet drops nothing out
    if getattr(model, 'uses_dropout', False):
      keys = _dropout_keys(seed, state.step, len(labels))

    def loss_fn(
      params: Any, images: jax.Array, labels: jax.Array, keys: jax.Array | None
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Any]]:
      variables = {'params': params, 'batch_stats': state.batch_stats}
      logits, updates = _apply(model, variables, images, keys)
      losses = cross_entropy(logits, labels, label_smoothing)
      objective = losses.mean()
      for logits_of_head in jax.tree.leaves(updates.get('auxiliary', {})):
        extra = cross_entropy(logits_of_head, labels, label_smoothing)
        objective += _AUXILIARY * extra.mean()
      wrong = (logits.argmax(-1) != labels).astype(jnp.float32)
      return objective, (losses, wrong, updates.get('batch_stats', {}))

    gradient_fn = in_parts(
      jax.grad(loss_fn, has_aux=True), microbatches, on_cpu=on_cpu
    )
    gradients, (losses, wrong, batch_stats) = gradient_fn(
      state.params, images, labels, keys
    )
    # Shares are of one size: the mean of their means is the batch's mean.
    gradients = device_mean(gradients)

    learning_rate = schedule.at(state.step, state.schedule)
    updates, opt_state = optimizer.update(
      gradients, state.opt_state, state.params, learning_rate=learning_rate
    )
    batch = Metrics.single_from_model_output(
      loss=losses.astype(jnp.float32), error=wrong
    )
    batch = jax.tree.map(device_sum, batch)
    batch = TrainMetrics(
      **vars(batch),
      learning_rate=clu.metrics.LastValue.from_model_output(learning_rate),
      first_nonfinite=First(
        jnp.where(jnp.isfinite(batch.loss.total), NEVER, state.step)
      ),
    )
    state = state.replace(
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      batch_stats=batch_stats,
      opt_state=opt_state,
      schedule=schedule.update(
        state.schedule, state.step, batch.error.total, batch.error.count
      ),
    )
    return state, metrics.merge(batch)

  return Compiled(train_step)


def make_batch_stats_step(
  model: Network, make_batch: MakeBatch
) -> Callable[..., Any]:
  """Adds up the BN statistics of training batches, compiled for all devices.

  Returns:
    step(state, total, step, common, share) -> total, with the statistics of
    the batch of `step` added.
  """
  # Keeping nothing of the old average leaves the batch's own statistics.
  model = model.clone(bn_momentum=0.0)

  @functools.partial(
    jax.pmap,
    axis_name=AXIS,
    in_axes=(None, None, None, None, 0),
    out_axes=None,
  )
  def batch_stats_step(
    state: TrainState, total: Any, step: jax.Array, common: Any, share: Any
  ) -> Any:
    images, _ = make_batch(step, common, share, state.normalization)
    _, updates = model.apply(
      {'params': state.params, 'batch_stats': state.batch_stats},
      images,
      train=True,
      mutable=['batch_stats'],
    )
    return jax.tree.map(jnp.add, total, updates['batch_stats'])

  return Compiled(batch_stats_step)


def make_score_step(model: Network, views: Views) -> Callable[..., np.ndarray]:
  """The scores of a batch of images, compiled for this host's devices.

  Returns:
    step(variables, images, sizes) -> float32 [examples, num_classes], the log
    of the probabilities averaged over the views. `variables` are a dict of
    params, batch_stats and normalization, on the devices; `images` and `sizes`
    are the host's, see `views.log_probabilities`, and as many as a multiple of
    its devices.
  """

  @functools.partial(jax.pmap, in_axes=(None, 0, 0))
  def score_step(
    variables: dict[str, Any], images: jax.Array, sizes: jax.Array
  ) -> jax.Array:
    return log_probabilities(model, variables, images, sizes, views)

  compiled = Compiled(score_step)

  def step(
    variables: dict[str, Any], images: np.ndarray, sizes: np.ndarray
  ) -> np.ndarray:
    scores = compiled(variables, *shard((images, sizes)))
    return np.asarray(scores).reshape(len(images), -1)

  return step


def cross_entropy(
  logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0
) -> jax.Array:
  """Cross-entropy in nats, [examples], of logits [examples, classes]."""
  if label_smoothing == 0:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
  targets = optax.smooth_labels(targets, label_smoothing)
  return optax.softmax_cross_entropy(logits, targets)


def _apply(
  model: Network,
  variables: dict[str, Any],
  images: jax.Array,
  keys: jax.Array | None,
) -> tuple[jax.Array, dict[str, Any]]:
  """Logits in training, and the new `batch_stats` and `auxiliary` logits.

  Args:
    model: The network; one with dropout has no BN.
    variables: Its params and batch_stats.
    images: A part of a device's share.
    keys: Keys for the dropout of each image; None where there is none.
  """
  apply = functools.partial(
    model.apply, variables, train=True, mutable=['batch_stats', 'auxiliary']
  )
  if keys is None:
    outputs: Any = apply(images)
    return outputs

  def apply_to_one(image: jax.Array, key: jax.Array) -> Any:
    of_one = apply(image[None], rngs={'dropout': key})
    return jax.tree.map(lambda x: x.squeeze(0), of_one)

  return jax.vmap(apply_to_one)(images, keys)


def _dropout_keys(seed: int, step: jax.Array, share: int) -> jax.Array:
  """A key for each example of a device's share.

  A key depends on the example's place in the batch, so that the devices and
  parts into which a batch is divided do not change what is dropped out.
  """
  key = jax.random.fold_in(jax.random.key(seed), DROPOUT)
  places = jax.lax.axis_index(AXIS) * share + jnp.arange(share)
  fold_in = jax.vmap(jax.random.fold_in, (None, 0))
  return fold_in(jax.random.fold_in(key, step), places)
