"""Imports files of weights as our checkpoints, and exports them again.

A checkpoint holds more than a file of weights: the normalization of pixels, the
names of the classes, and the place of the strides. The export writes these into
the metadata of a safetensors file, and the import finds them there again.
"""

import dataclasses
import hashlib
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from flax import traverse_util

from resnet_jax import models
from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.runs import checkpoint, restore
from resnet_jax.runs.leaves import flatten, unflatten
from resnet_jax.runs.restore import NETWORK_FIELDS
from resnet_jax.weights import architecture, convert, files, labels, metadata

_log = logging.getLogger('resnet_jax')


def read_checkpoint(path: str | pathlib.Path) -> checkpoint.Found:
  """A checkpoint, SERIES/STEP, or a file of weights as if it were imported.

  Raises:
    UserError: there is none, or it cannot be read, see `import_file`.
  """
  path = pathlib.Path(path)
  if path.is_file() or path.suffix in files.SUFFIXES:
    return read_file(path)[0]
  return checkpoint.read_step(path)


def read_file(
  path: pathlib.Path,
  *,
  network: str | None = None,
  version: str | None = None,
  normalization: Normalization | None = None,
  class_names: Sequence[str] | None = None,
  antialias: bool | None = None,
) -> tuple[checkpoint.Found, architecture.Architecture]:
  """The weights in `path` as a checkpoint of step 0, and their network.

  An argument that is None is taken from the file's metadata, where we wrote
  them; otherwise it has the default below.

  Args:
    path: A file that `files.read` reads.
    network: The network's name; by default the one that `detect` finds.
    version: 'v1' or 'v1.5', bottleneck nets only; by default 'v1.5'.
    normalization: Normalization of pixels; by default ImageNet's mean and std,
      which torchvision, most of timm and the CIFAR reimplementation use.
    class_names: The classes in the order of their labels; by default ImageNet's
      for 1000 classes, CIFAR-10's for a CIFAR net of 10, else numbers.
    antialias: Whether its pictures were smoothed when they were scaled down; by
      default True, as in torchvision and timm.

  Raises:
    UserError: the file cannot be read or belongs to no network here, or the
      number of class names is wrong or one is blank.
  """
  arrays = files.read(path)
  metadata.check(path, arrays)
  noted = metadata.Noted.of_file(path)
  try:
    found = architecture.detect(arrays, network=network)
    chosen = {'version': version} if version else {}
    overrides = found.overrides | noted.overrides | chosen
    found = dataclasses.replace(found, overrides=overrides)
    model = _create(found.network, found.num_classes, overrides)
  except UserError as e:
    raise UserError(f'{path}: {e}') from e
  try:
    variables = convert.convert(arrays, model)
  except UserError as e:
    raise UserError(f'{path} as {found.network}: {e}') from e
  names = class_names or noted.class_names or labels.default(found)
  labels.check(names, found.num_classes, path)
  pixels = normalization or noted.normalization or Normalization.of_imagenet()
  state = variables | {
    'normalization': {'mean': pixels.mean, 'std': pixels.std}
  }
  with path.open('rb') as file:
    digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
  meta = {
    'config': {'model': {'name': found.network, **overrides}},
    'num_classes': found.num_classes,
    'class_names': list(names),
    'data': f'imported from {path.name}, blake2b {digest.hexdigest()}',
    'antialias': noted.antialias if antialias is None else antialias,
  }
  return checkpoint.Found(0, path, flatten({'state': state}), meta), found


def import_file(
  path: pathlib.Path, folder: pathlib.Path, **arguments: Any
) -> architecture.Architecture:
  """Writes the weights in `path` as the checkpoint `folder`/0.

  Args:
    path: A file that `files.read` reads.
    folder: Folder of the checkpoint series; made if it is not there.
    **arguments: Those of `read_file`.

  Returns:
    The network of the checkpoint.

  Raises:
    UserError: see `read_file`, or `folder`/0 exists already.
  """
  target = folder / '0'
  if target.exists():
    raise UserError(
      f'{target} is there already and was left as it is; name another folder, '
      f'or remove it'
    )
  if folder.exists() and not folder.is_dir():
    raise UserError(f'{folder} is a file; name a folder for the checkpoint')
  read, found = read_file(path, **arguments)
  series = checkpoint.Series(folder, keep=None)
  try:
    series.save(0, unflatten(read.arrays), read.meta)
    series.wait()
  finally:
    series.close()
  return found


def export_checkpoint(
  path: pathlib.Path,
  file: pathlib.Path,
  *,
  class_names: Sequence[str] | None = None,
) -> architecture.Architecture:
  """Writes the checkpoint `path`, SERIES/STEP, as safetensors for PyTorch.

  The normalization of pixels, the names of the classes and the fields of the
  network are written into the file's metadata, each as JSON. A warning is
  logged where torchvision's own module would compute something else with these
  weights.

  Args:
    path: The checkpoint, or a file of weights.
    file: The file to write.
    class_names: The classes in the order of their labels; by default those of
      the checkpoint.

  Returns:
    The network of the weights.

  Raises:
    UserError: there is no such checkpoint, its network has no counterpart in
      PyTorch, the number of class names is wrong, or `file` cannot be written.
  """
  found = read_checkpoint(path)
  config = found.meta.get('config', {}).get('model', {})
  if 'name' not in config:
    raise UserError(f'{path} does not say which network it is of')
  state = {
    name.removeprefix('state/'): x
    for name, x in found.arrays.items()
    if name.startswith(('state/params/', 'state/batch_stats/'))
  }
  overrides = {
    k: config[k] for k in NETWORK_FIELDS[1:] if config.get(k) is not None
  }
  bias = state.get('params/fc/bias', ())
  num_classes = found.meta.get('num_classes', len(bias))
  model = _create(config['name'], num_classes, overrides)
  variables = traverse_util.unflatten_dict(state, sep='/')
  try:
    arrays = convert.from_variables(variables, model)
  except UserError as e:
    raise UserError(f'{path}: {e}') from e
  class_names = class_names or found.meta.get('class_names')
  if class_names:
    labels.check(class_names, num_classes, path)
  pixels = {
    key: found.arrays.get(f'state/normalization/{key}')
    for key in ('mean', 'std')
  }
  for key, x in pixels.items():
    if x is None or x.shape[-1:] != (3,):
      _log.warning(
        '%s has no %s of pixels in three colours; %s will not say how pixels '
        'are normalized',
        *(path, key, file),
      )
  noted = metadata.write(
    {'name': config['name'], **overrides},
    pixels,
    class_names,
    antialias=restore.antialias(found),
    arrays=arrays,
  )
  files.write_safetensors(file, arrays, noted)
  for departure in convert.departures(model):
    _log.warning(
      '%s and would compute something else with these weights', departure
    )
  return architecture.Architecture(config['name'], num_classes, overrides)


def _create(
  network: str, num_classes: int, overrides: Mapping[str, Any]
) -> models.ResNet:
  try:
    model = models.create(network, num_classes=num_classes, **overrides)
  except ValueError as e:
    raise UserError(str(e)) from e
  if not isinstance(model, models.ResNet):
    raise UserError(
      f'{network} is no resnet, and weights go in and out of resnets alone'
    )
  return model
