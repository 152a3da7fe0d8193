"""Exact evaluation: every example once, whatever the batch and the devices."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from resnet_jax.data.on_device import Examples
from resnet_jax.step import Metrics, TrainState, replicate


@dataclasses.dataclass(frozen=True)
class Result:
  """Of one evaluation.

  Attributes:
    examples: how many.
    wrong: those whose largest logit is not the label's.
    loss: mean cross-entropy in nats.
  """

  examples: int
  wrong: int
  loss: float

  @property
  def error(self) -> float:
    """Top-1 error, a fraction."""
    return self.wrong / self.examples

  def __str__(self) -> str:
    return (
      f'error {100 * self.error:.2f} % ({self.wrong:,} of {self.examples:,}), '
      f'loss {self.loss:.4f}'
    )

  def to_json(self) -> dict[str, Any]:
    return dataclasses.asdict(self) | {'error': self.error}


def evaluate(
  eval_step: Callable[..., Metrics],
  variables: dict[str, Any],
  examples: Examples,
  replicas: jax.Array,
  *,
  batch_size: int,
) -> Result:
  """Evaluates `variables` on all `examples`.

  Args:
    eval_step: from `step.make_eval_step`, made for `batch_size`.
    variables: as `variables_of` returns, on the devices.
    examples: a split on the devices.
    replicas: `step.replicas()`.
    batch_size: a multiple of the devices; need not divide the examples.

  Raises:
    RuntimeError: examples were lost or counted twice, which is a defect.
  """
  count = len(examples.labels)
  metrics = replicate(Metrics.empty())
  for start in range(0, count, batch_size):
    metrics = eval_step(variables, metrics, examples, np.int32(start), replicas)
    # At most one step is in flight: several at once, with collectives, can
    # deadlock the threads of simulated devices, and there is nothing to gain.
    jax.block_until_ready(metrics)
  metrics = jax.device_get(metrics)
  if metrics.error.count != count:
    raise RuntimeError(f'{metrics.error.count} examples evaluated of {count}')
  return Result(
    examples=count,
    wrong=round(float(metrics.error.total)),
    loss=float(metrics.loss.compute()),
  )


def variables_of(state: TrainState, batch_stats: Any = None) -> dict[str, Any]:
  """What evaluation needs of a state; `batch_stats` in place of its own."""
  return {
    'params': state.params,
    'batch_stats': state.batch_stats if batch_stats is None else batch_stats,
    'mean_image': state.mean_image,
  }


def recompute_batch_stats(
  batch_stats_step: Callable[..., Any],
  state: TrainState,
  batches: Iterator[tuple[np.int32, Examples, Any]],
  replicas: jax.Array,
) -> Any:
  """BN statistics as plain averages over training batches.

  The authors replace the running averages so once training is over; their
  published models are evaluated with the result.

  Args:
    batch_stats_step: from `step.make_batch_stats_step`.
    state: on the devices; unchanged.
    batches: step, training examples and order, of each batch.
    replicas: `step.replicas()`.
  """
  zeros = jax.tree.map(np.zeros_like, jax.device_get(state.batch_stats))
  total, count = replicate(zeros), 0
  for step, examples, order in batches:
    total = batch_stats_step(state, total, step, examples, order, replicas)
    jax.block_until_ready(total)
    count += 1
  means = jax.tree.map(
    lambda x: x / np.asarray(count, x.dtype), jax.device_get(total)
  )
  return replicate(means)
