"""Starts a run from weights that were trained before."""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

import jax
import ml_collections
import numpy as np
from flax import traverse_util

from resnet_jax.errors import UserError
from resnet_jax.runs import checkpoint, restore
from resnet_jax.state import TrainState

_log = logging.getLogger('resnet_jax')


def find_origin(
  config: ml_collections.ConfigDict, newest: checkpoint.Found | None
) -> checkpoint.Found | None:
  """The checkpoint that `config.finetune` starts from.

  Args:
    config: The run's; unchanged.
    newest: The checkpoint that the run resumes from, which stands in for the
      origin where that is gone.

  Returns:
    The checkpoint, with a fingerprint of the weights that the run started from
    as its `meta['origin']`; None where the config starts from none.

  Raises:
    UserError: there is no such checkpoint, or `newest` started from another.
  """
  if not config.finetune.checkpoint:
    return None
  path = pathlib.Path(config.finetune.checkpoint).expanduser()
  if newest is not None and not path.exists():
    return newest
  named = checkpoint.read_step(path)
  fingerprint = named.fingerprint
  if newest is None:
    return dataclasses.replace(named, meta=named.meta | {'origin': fingerprint})
  same_origin = newest.meta.get('origin') == fingerprint
  if not same_origin and not config.run.resume_changed:
    raise UserError(
      f'{newest.path} is of a run that did not start from {path}; use '
      f'another --workdir'
    )
  return newest


def start(
  config: ml_collections.ConfigDict,
  found: checkpoint.Found,
  state: TrainState,
  class_names: Sequence[str],
) -> TrainState:
  """`state`, with the weights of a checkpoint in it.

  Args:
    config: The run's; its network is that of the checkpoint.
    found: The checkpoint to start from.
    state: The state before the first step.
    class_names: Names of the classes of the data, by label.

  Raises:
    UserError: it is of another network, or its classes are not those of the
      data and its head is to be kept.
  """
  path = found.path
  template = {'params': state.params, 'batch_stats': state.batch_stats}
  if config.finetune.new_head:
    params = traverse_util.flatten_dict(state.params, sep='/')
    head = {
      f'state/params/{name}': np.asarray(x)
      for name, x in params.items()
      if name.split('/')[-2] == 'fc'  # the heads of auxiliary losses, too
    }
    found = dataclasses.replace(found, arrays=found.arrays | head)
  else:
    restore.check_classes(
      found,
      class_names,
      'give it a new head with --config.finetune.new_head=True',
    )
  variables = restore.read_net(found, template)
  variables['normalization'] = restore.read_normalization(found)
  _log.info(
    'starting from %s, with %s head and its normalization',
    path,
    'a new' if config.finetune.new_head else 'its',
  )
  return state.replace(**jax.tree.map(jax.numpy.asarray, variables))
