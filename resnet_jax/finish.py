"""The end of a run: the final evaluation, results.json, and curves."""

import logging
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from resnet_jax.console import Progress
from resnet_jax.experiment import Experiment
from resnet_jax.hosts import agreement
from resnet_jax.placement import replicate
from resnet_jax.runs import checkpoint, curves, environment, history, lock
from resnet_jax.runs.leaves import fill
from resnet_jax.runs.sessions import Goodput
from resnet_jax.runs.workdir import clear_folder, write_json
from resnet_jax.scores import Result
from resnet_jax.state import TrainMetrics, TrainState
from resnet_jax.step import make_batch_stats_step

_log = logging.getLogger('resnet_jax')

# Log labels for the keys of `results.json`.
_LABELS = {
  'running': 'running BN statistics',
  'recomputed': 'recomputed BN statistics',
  'best': 'at the best validation error',
}

# Results by split.
BySplit = dict[str, Result]


def evaluate_final(
  run: Experiment,
  state: TrainState,
  *,
  held: lock.Hold,
  best: checkpoint.Series,
) -> dict[str, BySplit]:
  """Evaluates the end of a run in each of its forms.

  Saves the state with recomputed BN statistics as a checkpoint of its own.

  Args:
    run: The run.
    state: The state after the last step, on the devices.
    held: The run's folder, locked.
    best: The series of the best checkpoint by validation error.

  Returns:
    Results by form ('running' or 'recomputed' BN statistics, 'best') and split.
  """
  results = {'running': _evaluate(run, state)}
  count = run.config.bn_recompute_batches
  moving = state.batch_stats and not run.config.finetune.frozen_bn
  if count and moving:  # some networks have no BN
    _log.info('recomputing BN statistics over %d training batches', count)
    state = state.replace(batch_stats=recompute_batch_stats(run, state, count))
    results['recomputed'] = _evaluate(run, state)
    held.check()
    folder = held.workdir / 'checkpoints' / 'recomputed'
    clear_folder(folder)
    series = checkpoint.Series(folder, keep=1)
    bundle = {'state': state, 'metrics': replicate(TrainMetrics.empty())}
    series.save(run.plan.steps, bundle, run.meta())
    series.wait()
    series.close()
  best.wait()
  agreement.meet()  # before the others read what the first host has written
  found = best.newest(required=False)
  best.set_aside_after(found.step if found else -1)
  if found:  # with its BN statistics of that step
    bundle = {'state': jax.device_get(state), 'metrics': TrainMetrics.empty()}
    bundle = fill(bundle, found.arrays, found.path)
    results['best'] = _evaluate(run, replicate(bundle['state']))
  for form, by_split in results.items():
    for split, result in by_split.items():
      _log.info('%s %s [%s]', split, result, _LABELS[form])
  return results


def recompute_batch_stats(
  run: Experiment, state: TrainState, count: int
) -> Any:
  """BN statistics as plain averages over training batches, on the devices.

  The authors replace the running averages so once training is over; their
  published models are evaluated with the result.

  Args:
    run: The run.
    state: The state after the last step, on the devices; unchanged.
    count: How many of the batches that would follow the last step.
  """
  step: Callable[..., Any] = make_batch_stats_step(
    run.model, run.feed.make_batch
  )
  total = replicate(
    jax.tree.map(np.zeros_like, jax.device_get(state.batch_stats))
  )
  with Progress('BN statistics of batches', count) as progress:
    for k in range(run.plan.steps, run.plan.steps + count):
      total = step(state, total, np.int32(k), *run.feed.at(k))
      # At most one step is in flight: several at once, with collectives, can
      # deadlock the threads of simulated devices, and nothing is gained.
      jax.block_until_ready(total)
      progress.add(1)
  means = jax.tree.map(
    lambda x: x / np.asarray(count, x.dtype), jax.device_get(total)
  )
  return replicate(means)


def write_results(
  run: Experiment,
  results: dict[str, BySplit],
  meta: dict[str, Any],
  *,
  workdir: pathlib.Path,
  goodput: Goodput,
  best_step: int | None,
) -> dict[str, Any]:
  """Writes results.json, the tables of errors by class, and the curves.

  Args:
    run: The run, which has ended.
    results: Results by form and split, from `evaluate_final`.
    meta: The facts that its last checkpoint is saved with.
    workdir: The run's folder.
    goodput: How much of the run's time became its result.
    best_step: The step with the lowest validation error, if there is one.

  Returns:
    The content of results.json.
  """
  content = meta | {
    'data_name': run.data.name,
    'examples': run.data.sizes,
    'step': run.plan.steps,
    'best_step': best_step,
    'results': {
      form: {split: result.to_json() for split, result in by_split.items()}
      for form, by_split in results.items()
    },
    **goodput.to_json(),
    'environment': environment.describe(precision=run.config.model.precision),
  }
  write_json(workdir / 'results.json', content)
  if jax.process_index() == 0:
    last = results.get('recomputed', results['running'])
    for split, result in last.items():
      file = workdir / f'per_class-{split}.csv'
      result.write_csv(file, run.data.class_names)
    title = f'{run.config.model.name}, {run.data.name}'
    records = history.read_metrics(workdir)
    try:
      curves.draw(records, title, workdir / 'curves.png')
    except ImportError as e:
      _log.warning('no curves.png: %s is missing (pip install it)', e.name)
  _log.info('the results are in %s', workdir)
  _log.info('%s', goodput)
  return content


def _evaluate(run: Experiment, state: TrainState) -> BySplit:
  variables = state.variables()
  return {
    split: run.evaluator(run.model, variables, split)
    for split in run.evaluator.splits
  }
