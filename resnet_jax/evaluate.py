"""Exact evaluation: every example once, whatever the batch and the devices.

Each host scores its share of the examples; counts are added up over the hosts.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import ml_collections
import numpy as np

from resnet_jax.config.plan import views_of
from resnet_jax.console import Progress
from resnet_jax.data.feed import Data, Part
from resnet_jax.models import Network
from resnet_jax.scores import Result, Scores, tally
from resnet_jax.step import make_score_step


class Evaluator:
  """Evaluates networks on the splits of `data`, as `config.test` says.

  Args:
    config: The run's.
    data: The data that it names.
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
    self._steps: dict[Network, Callable[..., np.ndarray]] = {}

  def __call__(
    self, model: Network, variables: dict[str, Any], split: str
  ) -> Result:
    """The result of a network; arguments are those of `scores`."""
    return tally(self.scores(model, variables, split))

  def scores(
    self, model: Network, variables: dict[str, Any], split: str
  ) -> Scores:
    """This host's scores of a network.

    Args:
      model: A network with as many classes as the data.
      variables: Its params, batch_stats and normalization, on the devices.
      split: One of `splits`.

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
  """Scores the examples of `parts`.

  Args:
    score_step: The compiled step, from `step.make_score_step`.
    variables: Params, batch_stats and normalization, on the devices.
    parts: This host's parts of the split, `passes` times.
    examples: Examples in the split, over all hosts.
    classes: Classes of the network.
    passes: Passes over the split, such as scales; their scores are averaged.
    title: Title of the progress line.

  Raises:
    RuntimeError: an example was scored too often, which is a defect.
  """
  logs = np.full((examples, classes), -np.inf, np.float32)
  labels = np.full(examples, -1, np.int32)
  seen = np.zeros(examples, np.int32)
  with Progress(title, examples * passes) as progress:
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
