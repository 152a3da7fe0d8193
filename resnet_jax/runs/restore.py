"""From a checkpoint to a network that can be used, in one place for all users.

checkpoint.py reads and verifies; here stand the network, its weights and its
normalization of images, and the config of the run.

found = checkpoint.read_step('runs/NAME/checkpoints/latest/64000')
restored = restore(found)
logits = restored.model.apply(restored.net, restored.normalization(images))
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from resnet_jax import models
from resnet_jax.config.file import complete
from resnet_jax.config.plan import create_model
from resnet_jax.data import tfds_sets
from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.runs.checkpoint import Found
from resnet_jax.runs.leaves import fill

_log = logging.getLogger('resnet_jax')

# The fields of a config that decide what a network computes with its weights.
NETWORK_FIELDS = ('name', 'shortcut', 'version', 'stem_pool')


@dataclasses.dataclass(frozen=True)
class Restored:
  """A trained network, on the host.

  Attributes:
    model: The module, with as many classes as it was trained for.
    net: Its `params` and `batch_stats`; the latter are empty without BN.
    normalization: The pixels that it expects.
    image_shape: Height, width and channels of its images.
  """

  model: models.Network
  net: dict[str, Any]
  normalization: Normalization
  image_shape: tuple[int, int, int]

  def variables(self) -> dict[str, Any]:
    """Params, batch_stats and normalization, as evaluation takes them."""
    return self.net | {'normalization': self.normalization}


def restore(
  found: Found,
  config: ml_collections.ConfigDict | None = None,
  *,
  image_shape: tuple[int, int, int] | None = None,
) -> Restored:
  """The network of a checkpoint, whatever network `config` names.

  Args:
    found: A checkpoint of a run, or an import.
    config: Decides what is not the network's own, such as its dtype; None
      takes the defaults of the module.
    image_shape: Height, width and channels of the images to come; None takes
      those that it was trained on.

  Raises:
    UserError: the weights do not fit the network that the checkpoint names, or
      such images, or it does not say how pixels are normalized.
  """
  model: models.Network
  classes, fields = found.meta['num_classes'], network_fields(found)
  if config is None:
    model = models.create(**fields, num_classes=classes)
  else:
    model = create_model(with_network_of(config, found), num_classes=classes)
  shape = image_shape or tuple(
    found.meta.get('image_shape', models.input_shape(fields['name']))
  )
  template = jax.eval_shape(
    model.init,
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, *shape), np.float32),
  )
  return Restored(
    model, read_net(found, template), read_normalization(found), shape
  )


def network_fields(found: Found) -> dict[str, str]:
  """The fields of `models.create` that make the network of a checkpoint."""
  model = found.meta['config']['model']
  return {
    field: model[field]
    for field in NETWORK_FIELDS
    if model.get(field) is not None
  }


def with_network_of(
  config: ml_collections.ConfigDict, found: Found
) -> ml_collections.ConfigDict:
  """A copy of `config` whose network is that of a checkpoint.

  Weights are of use only in the network that they were trained in. Fields that
  do not change what it computes, such as the dtype, stay as configured. Says in
  the log where `config` named another network.
  """
  adopted = config.copy_and_resolve_references()
  fields = network_fields(found)
  with adopted.unlocked():
    for field in NETWORK_FIELDS:
      adopted.model[field] = fields.get(field)
  before, after = (create_model(c, num_classes=1) for c in (config, adopted))
  if before != after:
    words = ', '.join(f'{field} {value}' for field, value in fields.items())
    _log.info('the network is that of %s: %s', found.path, words)
  return adopted


def read_config(
  found: Found, *, trust_data: bool = False
) -> ml_collections.ConfigDict:
  """The config of the run that saved a checkpoint.

  Files of arrays and folders of pictures run nothing, and may be named by a
  checkpoint. A set of TFDS comes with code, and its folder is written to.

  Args:
    found: A checkpoint of a run.
    trust_data: Whether the user has said that a TFDS set beyond those known
      here, or a folder for TFDS, may be the checkpoint's choice.

  Raises:
    UserError: it names no data, names data that need the user's word, or has
      other fields than ours.
  """
  config = found.meta['config']
  if 'dataset' in config and 'finetune' not in config:
    raise UserError(
      f'{found.path} was made by another version of resnet_jax, with other '
      f'fields; add --config=FILE'
    )
  if 'dataset' not in config:
    raise UserError(
      f'{found.path} was imported, and says nothing of data: add '
      f'--config=configs/FILE.py, and what it needs to find them'
    )
  completed = ml_collections.ConfigDict(complete(config))
  if not trust_data:
    _check_data_are_known(found, completed.dataset)
  return completed


def read_net(found: Found, template: dict[str, Any]) -> dict[str, Any]:
  """Params and batch_stats of a checkpoint, on the host.

  Args:
    found: A checkpoint of a run, or an import.
    template: The network's variables, or their shapes; it may have no BN.

  Raises:
    UserError: they are of another network; names what differs.
  """
  leaves = {
    name.removeprefix('state/'): x
    for name, x in found.arrays.items()
    if name.startswith(('state/params/', 'state/batch_stats/'))
  }
  return fill({'batch_stats': {}} | template, leaves, found.path)


def read_normalization(found: Found) -> Normalization:
  """The normalization of the images that a checkpoint was trained on.

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


def antialias(found: Found) -> bool:
  """Whether the pictures of a checkpoint were smoothed when scaled down.

  Imports that do not say are taken to be torchvision's or timm's, which smooth.
  """
  dataset = found.meta['config'].get('dataset', {})
  return bool(dataset.get('antialias', found.meta.get('antialias', True)))


def check_classes(found: Found, class_names: Sequence[str], mend: str) -> None:
  """Refuses weights for another number of classes; warns of other names.

  Args:
    found: A checkpoint.
    class_names: Names of the classes of the data, by label.
    mend: What the user can do, for the message.

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
    if a != b and a.split()[:1] != b.split()[:1]:
      _log.warning(
        'class %d is %r in %s, and %r in the data', label, a, found.path, b
      )
      return


def _check_data_are_known(
  found: Found, dataset: ml_collections.ConfigDict
) -> None:
  """Refuses what TFDS would do on a checkpoint's word alone."""
  if dataset.name in tfds_sets.KNOWN and not dataset.data_dir:
    return
  if dataset.npz or dataset.folder:  # whichever is read, TFDS gets no name
    dataset.name = dataset.data_dir = ''
    return
  where = f' in the folder {dataset.data_dir!r}' if dataset.data_dir else ''
  raise UserError(
    f'{found.path} asks for the TFDS set {dataset.name!r}{where}. TFDS may run '
    f'the code of a set, and writes into its folder, so a checkpoint alone '
    f'does not decide that. If you know this set and trust whoever made the '
    f'checkpoint, add --trust_data; or name data of your own with --config=FILE'
  )
