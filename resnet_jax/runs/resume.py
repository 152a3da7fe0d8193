"""What must be so for a run to go on from a checkpoint to the same result."""

import logging

import ml_collections

from resnet_jax.runs import checkpoint
from resnet_jax.config.file import result_changes, to_json
from resnet_jax.errors import UserError
from resnet_jax.experiment import Experiment
from resnet_jax.state import TrainMetrics, TrainState

_log = logging.getLogger('resnet_jax')


def check_same_config(
  config: ml_collections.ConfigDict, found: checkpoint.Found
) -> None:
  """Refuses a config that differs in what changes the result.

  Raises:
    UserError: naming the fields and both values.
  """
  changes = result_changes(
    found.meta.get('config', {}), to_json(config)
  )
  if changes:
    words = [
      f'config.{field} was {old!r} and is {new!r}'
      for field, (old, new) in changes.items()
    ]
    raise UserError(_refusal(found, words))


def resume(
  run: Experiment,
  latest: checkpoint.Series,
  newest: checkpoint.Found,
  state: TrainState,
  metrics: TrainMetrics,
) -> tuple[TrainState, TrainMetrics]:
  """What `newest` holds, in the structure of `state` and `metrics`.

  Raises:
    UserError: it is of other data, of another network, or of a longer run.
      Nothing on disk has changed then.
  """
  same_data = newest.meta.get('data') == run.data.fingerprint
  if not same_data and not run.config.run.resume_changed:
    raise UserError(_refusal(newest, ['the data are not the same']))
  template = {'state': state, 'metrics': metrics}
  bundle = checkpoint.fill(template, newest.arrays, newest.path)
  if newest.step > run.plan.steps:
    raise UserError(
      f'{newest.path} is past the {run.plan.steps:,} steps of this config; '
      f'train longer, or use another --workdir'
    )
  latest.set_aside_after(newest.step)
  _log.info(
    'resumed at step %s of %s', f'{newest.step:,}', f'{run.plan.steps:,}'
  )
  return bundle['state'], bundle['metrics']


def _refusal(found: checkpoint.Found, differences: list[str]) -> str:
  return (
    f'{found.path} cannot be continued to the same result: '
    f'{"; ".join(differences)}. Use another --workdir, or go on all the same '
    f'with --config.run.resume_changed=True'
  )
