"""Starts a network from weights that were trained before."""

import dataclasses
import hashlib
import json
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from flax import traverse_util

from resnet_jax.runs import checkpoint
from resnet_jax.config.plan import create_model
from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.state import TrainState

_log = logging.getLogger('resnet_jax')

# What a config must have in common with the weights that it is to load: the
# fields that decide what a network computes, besides its weights.
NETWORK = ('name', 'shortcut', 'version', 'stem_pool')


def origin(
  config: ml_collections.ConfigDict, newest: checkpoint.Found | None
) -> checkpoint.Found | None:
  """The checkpoint that `config` starts from, whose network it is given.

  Args:
    config: of the run; its model is changed.
    newest: what the run resumes from, which then is the origin.

  Returns:
    The checkpoint, with a fingerprint of what the run started from as its
    `meta['origin']`; None where the config starts from none.

  Raises:
    UserError: there is no such checkpoint, or `newest` started from another.
  """
  if not config.finetune.checkpoint:
    return None
  path = pathlib.Path(config.finetune.checkpoint).expanduser()
  found = newest
  if newest is None or path.exists():
    named = checkpoint.read_step(path)
    fingerprint = _fingerprint(named)
    if newest is None:
      meta = named.meta | {'origin': fingerprint}
      found = dataclasses.replace(named, meta=meta)
    elif (
      newest.meta.get('origin') != fingerprint and not config.run.resume_changed
    ):
      raise UserError(
        f'{newest.path} is of a run that did not start from {path}; use '
        f'another --workdir'
      )
  adopt_network(config, found)
  return found


def check_classes(
  found: checkpoint.Found, class_names: Sequence[str], mend: str
) -> None:
  """Refuses weights for another number of classes; warns of other names.

  Args:
    found: a checkpoint.
    class_names: of the data, by label.
    mend: what to do, for the message.

  Raises:
    UserError: the numbers of classes differ.
  """
  theirs = found.meta['class_names']
  if len(theirs) != len(class_names):
    raise UserError(
      f'{found.path} tells {len(theirs)} classes apart, and the data have '
      f'{len(class_names)}; {mend}'
    )
  # Imports name ImageNet's classes by id and word, and folders by id alone.
  for label, (a, b) in enumerate(zip(theirs, class_names, strict=True)):
    if a != b and a.split()[0] != b.split()[0]:
      _log.warning(
        'class %d is %r in %s, and %r in the data', label, a, found.path, b
      )
      return


def adopt_network(
  config: ml_collections.ConfigDict, found: checkpoint.Found
) -> None:
  """Makes `config.model` that of a checkpoint, and says so if it was another.

  Weights are of use in the network that they were trained in alone; what does
  not change what it computes, such as the dtype, stays as configured.
  """
  theirs = found.meta['config']['model']
  before = create_model(config, num_classes=1)
  with config.unlocked():
    for field in NETWORK:
      config.model[field] = theirs.get(field)
  if create_model(config, num_classes=1) != before:
    words = [
      f'{field} {theirs[field]}' for field in NETWORK if theirs.get(field)
    ]
    _log.info('the network is that of %s: %s', found.path, ', '.join(words))


def variables_of(
  found: checkpoint.Found, template: dict[str, Any]
) -> dict[str, Any]:
  """Params, batch_stats and normalization of a checkpoint or import.

  Args:
    found: of a run, or imported.
    template: params and batch_stats of the network, if it has any, for names
      and shapes.

  Raises:
    UserError: they are of another network; names what differs.
  """
  arrays = {
    name.removeprefix('state/'): x
    for name, x in found.arrays.items()
    if name.startswith(('state/params/', 'state/batch_stats/'))
  }
  template = {'batch_stats': {}} | template
  net = checkpoint.fill(template, arrays, found.path)
  return net | {'normalization': normalization_of(found)}


def normalization_of(found: checkpoint.Found) -> Normalization:
  """That of the images which the weights of a checkpoint were trained on.

  Raises:
    UserError: it does not say.
  """
  try:
    mean, std = (
      found.arrays[f'state/normalization/{name}'] for name in ('mean', 'std')
    )
  except KeyError as e:
    raise UserError(
      f'{found.path} does not say how its images are normalized; it was made '
      f'by another version of resnet_jax'
    ) from e
  return Normalization(mean, std)


def start(
  config: ml_collections.ConfigDict,
  found: checkpoint.Found,
  state: TrainState,
  class_names: Sequence[str],
) -> TrainState:
  """`state`, with the weights of a checkpoint in it.

  Args:
    config: of the run; its model is that of the checkpoint.
    found: the checkpoint.
    state: before the first step.
    class_names: of the data.

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
      if name.split('/')[-2] == 'fc'  # of auxiliary heads, too
    }
    found = checkpoint.Found(
      found.step, found.path, found.arrays | head, found.meta
    )
  else:
    check_classes(
      found,
      class_names,
      'give it a new head with --config.finetune.new_head=True',
    )
  variables = variables_of(found, template)
  _log.info(
    'starting from %s, with %s head and its normalization',
    path,
    'a new' if config.finetune.new_head else 'its',
  )
  return state.replace(**jax.tree.map(jax.numpy.asarray, variables))


def _fingerprint(found: checkpoint.Found) -> str:
  hashes = json.dumps(found.meta['hashes'], sort_keys=True)
  return hashlib.blake2b(hashes.encode(), digest_size=16).hexdigest()
