"""Evaluates what was saved, by the same function as the training loop."""

import logging
import pathlib
from collections.abc import Sequence

import jax
import ml_collections

from resnet_jax import experiment, summary
from resnet_jax.config import checks
from resnet_jax.config.file import to_json
from resnet_jax.data.feed import Data
from resnet_jax.errors import UserError
from resnet_jax.evaluate import Evaluator
from resnet_jax.placement import replicate
from resnet_jax.runs import checkpoint, environment, restore
from resnet_jax.runs.workdir import write_json
from resnet_jax.scores import Result, Scores, average, tally
from resnet_jax.text import check_replaceable
from resnet_jax.weights import read_checkpoint

_log = logging.getLogger('resnet_jax')

_SERIES = ('latest', 'recomputed', 'best')


def evaluate_saved(
  config: ml_collections.ConfigDict | None,
  *,
  workdir: pathlib.Path | None = None,
  paths: Sequence[pathlib.Path] = (),
  per_class: pathlib.Path | None = None,
  results_file: pathlib.Path | None = None,
  trust_data: bool = False,
) -> list[tuple[str, dict[str, Result]]]:
  """Evaluates checkpoints, or the newest of each series of a run.

  Args:
    config: Where the data are and which views are tested; None takes that of
      the first checkpoint. The networks are those of the checkpoints.
    workdir: The folder of a run.
    paths: Checkpoints, SERIES/STEP, or files of weights, in place of `workdir`.
      More than one are an ensemble, too (Table 5).
    per_class: A CSV file to write, for the last that is evaluated.
    results_file: A JSON file to write, for all, with what they depend on.
    trust_data: Without `config`: see `restore.read_config`.

  Returns:
    For each checkpoint, and for the ensemble: its path or 'ensemble', and the
    results by split.

  Raises:
    UserError: there is no whole checkpoint, or it is of other classes.
  """
  _check_writable('per_class', per_class)
  _check_writable('results', results_file)
  found = [read_checkpoint(path) for path in paths]
  found = found or _newest_of_each(workdir)
  if config is None:
    config = restore.read_config(found[0], trust_data=trust_data)
  checks.check(config)
  data = experiment.load_data(config, found[0].meta['class_names'])
  evaluator = Evaluator(config, data)
  _log.info('%s', summary.describe_data(data, evaluator.views))
  scores = [
    (str(one.path), _scores(one, config, data, evaluator)) for one in found
  ]
  if len(paths) > 1:
    ensemble = {
      split: average([by_split[split] for _, by_split in scores])
      for split in evaluator.splits
    }
    scores.append(('ensemble', ensemble))
  results = []
  for name, by_split in scores:
    results.append((name, {split: tally(s) for split, s in by_split.items()}))
    for split, result in results[-1][1].items():
      _log.info('%s  %s %s', name, split, result)
  if per_class is not None and jax.process_index() == 0:
    result.write_csv(per_class, data.class_names)
    _log.info('%s: %s of %s by class', per_class, split, name)
  if results_file is not None:
    content = {
      'config': to_json(config),
      'data': data.fingerprint,
      'checkpoints': {str(one.path): one.fingerprint for one in found},
      'data_name': data.name,
      'examples': data.sizes,
      'results': {
        name: {split: result.to_json() for split, result in by_split.items()}
        for name, by_split in results
      },
      'environment': environment.describe(precision=config.model.precision),
    }
    write_json(results_file, content)
    _log.info('%s: all of this', results_file)
  return results


def _check_writable(flag: str, file: pathlib.Path | None) -> None:
  """Refuses, before hours of work, a file that cannot be written."""
  if file is None:
    return
  try:
    check_replaceable(file)
  except OSError as e:
    raise UserError(f'--{flag}={file} cannot be written: {e.strerror}') from e


def _scores(
  found: checkpoint.Found,
  config: ml_collections.ConfigDict,
  data: Data,
  evaluator: Evaluator,
) -> dict[str, Scores]:
  """The scores of one checkpoint, by split."""
  restore.check_classes(
    found, data.class_names, 'name data of its own classes with --config'
  )
  _compare_scaling(found, config)
  if found.meta['data'] != data.fingerprint:
    _log.info('%s was trained on other data than these', found.path)
  config = restore.with_network_of(config, found)
  restored = restore.restore(found, config, image_shape=data.image_shape)
  _log.info('%s', summary.describe_network(restored.model, config, data))
  variables = replicate(restored.variables())
  return {
    split: evaluator.scores(restored.model, variables, split)
    for split in evaluator.splits
  }


def _compare_scaling(
  found: checkpoint.Found, config: ml_collections.ConfigDict
) -> None:
  """Warns where pictures are scaled down otherwise than in training."""
  smoothed = restore.antialias(found)
  if config.dataset.crop_size and smoothed != config.dataset.antialias:
    _log.warning(
      '%s was trained on pictures scaled down %s smoothing: evaluate it with '
      '--config.dataset.antialias=%s',
      *(found.path, 'with' if smoothed else 'without', smoothed),
    )


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
      newest = series.newest(required=False)
      series.close()
      if newest is not None:
        found.append(newest)
  if not found:
    raise UserError(
      f'--workdir {workdir} holds no checkpoints that are whole; name the '
      f'folder of a run, or train first with --workdir={workdir} --config=FILE'
    )
  return found
