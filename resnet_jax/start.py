"""How a run begins: what it finds in its folder, and what its hosts agree on.

Until all hosts have accepted the run, nothing in the folder changes.
"""

import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from resnet_jax import experiment
from resnet_jax.config import checks
from resnet_jax.config.file import fields, to_json
from resnet_jax.hosts import agreement
from resnet_jax.runs import (
  checkpoint,
  environment,
  finetune,
  history,
  lock,
  restore,
  resume,
)
from resnet_jax.runs.leaves import flatten
from resnet_jax.runs.meta import hash_json, hashes_of
from resnet_jax.runs.workdir import check_space, clear_folder
from resnet_jax.state import TrainMetrics, TrainState

# What these name has a fingerprint, and may lie elsewhere on another host.
_PLACES = (
  'dataset.data_dir',
  'dataset.npz',
  'dataset.folder',
  'dataset.mean_file',
  'finetune.checkpoint',
)


def config_facts(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The fields that all hosts must share, and the source that they run."""
  content = fields(to_json(config))
  for field in _PLACES:
    content.pop(field, None)
  own = {f'config.{field}': value for field, value in content.items()}
  return own | environment.source()


def prepare(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[experiment.Experiment, checkpoint.Series, checkpoint.Found | None]:
  """The parts of the run, the series to go on with, and its newest checkpoint.

  Raises:
    UserError: what is asked for cannot be run, or not in this folder.
  """
  series = checkpoint.Series(
    workdir / 'checkpoints' / 'latest', keep=config.run.checkpoints_kept
  )
  newest = series.newest()
  if newest is None:
    history.check_no_results(workdir)
  if not newest or newest.meta['config'].get('seed') != config.seed:
    checks.check_seed(config)
  origin = finetune.find_origin(config, newest)
  if origin:
    config = restore.with_network_of(config, origin)
  same_as = None if config.run.resume_changed else newest
  if same_as:  # before the data are loaded
    resume.check_same_config(config, same_as)
  run = experiment.build(config, origin)
  if same_as:
    resume.check_same_data(run.data.fingerprint, same_as)
  return run, series, newest


def run_facts(
  run: experiment.Experiment, newest: checkpoint.Found | None
) -> dict[str, Any]:
  """What each host has loaded for itself."""
  pixels = run.normalization
  arrays = {'mean': np.asarray(pixels.mean), 'std': np.asarray(pixels.std)}
  return {
    'the fingerprint of the data': run.data.fingerprint,
    'the number of examples': run.data.sizes,
    'the hash of the classes': hash_json(list(run.data.class_names)),
    'the hash of the normalization': hash_json(hashes_of(arrays)),
    'the step to go on from': newest and newest.step,
  }


def first_state(
  run: experiment.Experiment,
  workdir: pathlib.Path,
  newest: checkpoint.Found | None,
) -> tuple[TrainState, TrainMetrics]:
  """The state and metrics of the first step to do, on the host.

  Raises:
    UserError: there is too little disk space, or `newest` is of another run.
  """
  with agreement.agreeing() as facts:
    # A resumed run has its weights already.
    state = run.initial_state() if newest else run.first_state()
    metrics = TrainMetrics.empty()
    kept = run.config.run.checkpoints_kept
    # Besides those kept: one being written, the best, and the recomputed one.
    check_space(workdir, state, copies=kept + 3)
    if newest:
      state, metrics = resume.resume(
        newest, state, metrics, steps=run.plan.steps
      )
    if jax.process_count() > 1:  # hashing takes a moment
      hashes = hashes_of(flatten(state))
      facts['the hash of the first state'] = hash_json(hashes)
  return state, metrics


def make_way(
  held: lock.Hold, latest: checkpoint.Series, newest: checkpoint.Found | None
) -> tuple[checkpoint.Series, checkpoint.Found | None]:
  """Sets aside what the run cannot use, now that it goes on or begins.

  Returns:
    The series of the best checkpoint, and the one that it holds.
  """
  held.check()
  if newest:
    latest.set_aside_after(newest.step)
  elif jax.process_index() == 0:
    history.set_old_aside(held.workdir)
  for name in ('best', 'recomputed'):
    clear_folder(held.workdir / 'checkpoints' / name)
  with agreement.agreeing() as facts:
    series = checkpoint.Series(held.workdir / 'checkpoints' / 'best', keep=1)
    best = series.newest(required=False)
    facts['the best step'] = best and best.step
  series.set_aside_after(best.step if best else -1)
  return series, best
