"""Exact evaluation: every example once, whatever the batch and the devices.

Each host scores its share of the examples; counts are added up over the hosts.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import ml_collections
import numpy as np

from resnet_jax.config.plan import views_of
from resnet_jax.console import Progress
from resnet_jax.data.feed import Data, Part
from resnet_jax.models import ResNet
from resnet_jax.placement import replicate
from resnet_jax.scores import Result, Scores, tally
from resnet_jax.state import TrainState
from resnet_jax.step import make_score_step


class Evaluator:
  """Evaluates networks on the splits of `data`, as `config.test` says.

  Args:
    config: of the run.
    data: that it names.
  """

  def __init__(self, config: ml_collections.ConfigDict, data: Data) -> None:
    self._data = data
    self.views = views_of(config)
    self.splits = [split for split in data.sizes if split != 'train']
    largest = max(data.sizes[split] for split in self.splits)
    devices = jax.device_count()
    # Evaluation is exact at any batch size, so round up and do not refuse.
    batch_size = min(config.run.eval_batch_size, largest)
    self._batch_size = -(-batch_size // devices) * devices
    self._steps = {}

  def __call__(
    self, model: ResNet, variables: dict[str, Any], split: str
  ) -> Result:
    """The result of a network; arguments as in `scores`."""
    return tally(self.scores(model, variables, split))

  def scores(
    self, model: ResNet, variables: dict[str, Any], split: str
  ) -> Scores:
    """This host's scores of a network.

    Args:
      model: with as many classes as the data.
      variables: as `variables_of` returns, on the devices.
      split: of `splits`.

    Raises:
      UserError: too many pictures are damaged, or the data have no such views.
    """
    if model not in self._steps:
      self._steps[model] = make_score_step(model, self.views)
    return score(
      self._steps[model],
      variables,
      self._data.parts(split, self.views, self._batch_size),
      examples=self._data.sizes[split],
      classes=model.num_classes,
      passes=max(1, len(self.views.shorter_sides)),
      title=f'scored of {split}',
    )


def score(
  score_step: Callable[..., np.ndarray],
  variables: dict[str, Any],
  parts: Iterable[Part],
  *,
  examples: int,
  classes: int,
  passes: int = 1,
  title: str = 'scored',
) -> Scores:
  """Scores what `parts` hold.

  Args:
    score_step: from `step.make_score_step`.
    variables: as `variables_of` returns, on the devices.
    parts: of the split on this host, `passes` times.
    examples: in the split, over all hosts.
    classes: of the network.
    passes: over the split, such as scales; their scores are averaged.
    title: of the progress.

  Raises:
    RuntimeError: an example was scored too often, which is a defect.
  """
  logs = np.full((examples, classes), -np.inf, np.float32)
  labels = np.full(examples, -1, np.int32)
  seen = np.zeros(examples, np.int32)
  progress = Progress(title, examples * passes)
  for part in parts:
    scores = score_step(variables, part.images, part.sizes)
    real = part.ids >= 0
    ids = part.ids[real]
    logs[ids] = np.logaddexp(logs[ids], scores[real])
    labels[ids] = part.labels[real]
    np.add.at(seen, ids, 1)
    progress.add(len(ids) * jax.process_count())
  labels[seen < passes] = -1  # damaged, as one pass may find and another not
  if seen.max() > passes:
    index = int(seen.argmax())
    raise RuntimeError(f'example {index} was scored {seen[index]} times')
  return Scores(logs - np.float32(np.log(passes)), labels)


def variables_of(state: TrainState) -> dict[str, Any]:
  """What evaluation needs of a state."""
  return {
    'params': state.params,
    'batch_stats': state.batch_stats,
    'normalization': state.normalization,
  }


def recompute_batch_stats(
  batch_stats_step: Callable[..., Any],
  state: TrainState,
  batches: Iterator[tuple[np.int32, tuple[Any, Any]]],
  *,
  count: int,
) -> Any:
  """BN statistics as plain averages over training batches.

  The authors replace the running averages so once training is over; their
  published models are evaluated with the result.

  Args:
    batch_stats_step: from `step.make_batch_stats_step`.
    state: on the devices; unchanged.
    batches: step and what the feed has for it, of each batch.
    count: of batches.
  """
  zeros = jax.tree.map(np.zeros_like, jax.device_get(state.batch_stats))
  total = replicate(zeros)
  progress = Progress('BN statistics of batches', count)
  for step, batch in batches:
    total = batch_stats_step(state, total, step, *batch)
    # At most one step is in flight: several at once, with collectives, can
    # deadlock the threads of simulated devices, and there is nothing to gain.
    jax.block_until_ready(total)
    progress.add(1)
  means = jax.tree.map(
    lambda x: x / np.asarray(count, x.dtype), jax.device_get(total)
  )
  return replicate(means)
