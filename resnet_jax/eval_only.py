"""Evaluates what a run has saved, by the same function as its loop."""

import logging
import pathlib

import ml_collections

from resnet_jax import checkpoint, experiment
from resnet_jax import config as config_lib
from resnet_jax.errors import UserError
from resnet_jax.evaluate import Result, variables_of
from resnet_jax.step import TrainMetrics, replicate

_log = logging.getLogger('resnet_jax')

_SERIES = ('latest', 'recomputed', 'best')


def evaluate_saved(
  config: ml_collections.ConfigDict | None,
  *,
  workdir: pathlib.Path | None = None,
  path: pathlib.Path | None = None,
) -> dict[str, dict[str, Result]]:
  """Evaluates one checkpoint, or the newest of each series of a run.

  Args:
    config: where the data are and what the network is; None: as the
      checkpoint says.
    workdir: of the run.
    path: of one checkpoint, SERIES/STEP; in place of `workdir`.

  Returns:
    Path of the checkpoint to split to result.

  Raises:
    UserError: there is no whole checkpoint, or it is of another network.
  """
  found = [checkpoint.read_step(path)] if path else _newest_of_each(workdir)
  if config is None:
    config = ml_collections.ConfigDict(found[0].meta['config'])
  config_lib.check(config)
  run = experiment.build(config)
  _log.info('%s', experiment.describe(run))
  template = {'state': run.initial_state(), 'metrics': TrainMetrics.empty()}
  evaluator = run.evaluator()
  results = {}
  for one in found:
    state = checkpoint.fill(template, one.arrays, one.path)['state']
    variables = replicate(variables_of(state))
    if one.meta['data'] != run.fingerprint:
      _log.warning('%s was trained on other data than these', one.path)
    results[str(one.path)] = by_split = {}
    for split in run.examples:
      if split != 'train':
        by_split[split] = evaluator(variables, split)
        _log.info('%s  %s %s', one.path, split, by_split[split])
  return results


def _newest_of_each(workdir: pathlib.Path | None) -> list[checkpoint.Found]:
  if workdir is None:
    raise UserError(
      '--mode=eval evaluates what was trained: say what, with --workdir=DIR of '
      'a run or --checkpoint=DIR/checkpoints/latest/STEP'
    )
  folders = [workdir / 'checkpoints' / name for name in _SERIES]
  found = []
  for folder in folders:
    if folder.is_dir():
      series = checkpoint.Series(folder, keep=None)
      newest = series.newest()
      series.close()
      if newest is not None:
        found.append(newest)
  if not found:
    raise UserError(
      f'--workdir {workdir} holds no checkpoints to evaluate; train first with '
      f'--workdir={workdir} --config=FILE'
    )
  return found
