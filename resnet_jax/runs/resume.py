"""Checks that a run resumes to the same result, and resumes it."""

import ml_collections

from resnet_jax.config.file import result_changes, to_json
from resnet_jax.errors import UserError
from resnet_jax.runs import checkpoint
from resnet_jax.runs.leaves import fill
from resnet_jax.state import TrainMetrics, TrainState


def check_same_config(
  config: ml_collections.ConfigDict, found: checkpoint.Found
) -> None:
  """Refuses a config that differs in what changes the result.

  Raises:
    UserError: naming the fields and both values.
  """
  changes = result_changes(found.meta.get('config', {}), to_json(config))
  if changes:
    words = [
      f'config.{field} was {old!r} and is {new!r}'
      for field, (old, new) in changes.items()
    ]
    raise UserError(_refusal(found, words))


def check_same_data(fingerprint: str, found: checkpoint.Found) -> None:
  """Refuses to go on with data of another `fingerprint`.

  Raises:
    UserError: the data are not those that the checkpoint was trained on.
  """
  if found.meta.get('data') != fingerprint:
    raise UserError(_refusal(found, ['the data are not the same']))


def resume(
  newest: checkpoint.Found,
  state: TrainState,
  metrics: TrainMetrics,
  *,
  steps: int,
) -> tuple[TrainState, TrainMetrics]:
  """The state and metrics that `newest` holds.

  Args:
    newest: The newest whole checkpoint.
    state, metrics: The structure to fill, with arrays of the right shapes.
    steps: Steps of the whole run.

  Raises:
    UserError: it is of another network, or of a longer run.
  """
  template = {'state': state, 'metrics': metrics}
  bundle = fill(template, newest.arrays, newest.path)
  if newest.step > steps:
    raise UserError(
      f'{newest.path} is past the {steps:,} steps of this config; '
      f'train longer, or use another --workdir'
    )
  return bundle['state'], bundle['metrics']


def _refusal(found: checkpoint.Found, differences: list[str]) -> str:
  return (
    f'{found.path} cannot be continued to the same result: '
    f'{"; ".join(differences)}. Use another --workdir, or go on all the same '
    f'with --config.run.resume_changed=True'
  )
