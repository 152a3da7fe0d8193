"""Reads config files, checks overrides of their fields, compares configs."""

import copy
import difflib
import importlib.util
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import ml_collections
from absl import flags

from resnet_jax.config import shipped
from resnet_jax.errors import UserError, did_you_mean


def load_config(path: str) -> ml_collections.ConfigDict:
  """The config that `get_config()` of a file returns.

  Args:
    path: The file, or the name of a shipped one, see `shipped`.

  Raises:
    UserError: there is no such file, or it is no config file.
  """
  file = shipped.find(path)
  shipped.make_importable(file)
  spec = importlib.util.spec_from_file_location('_config_file', file)
  if spec is None or spec.loader is None:
    raise UserError(f'--config: {file} is not a Python file')
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    config = module.get_config()
  except Exception as e:  # the file is the user's: it may raise anything
    raise UserError(
      f'--config: {file} cannot be read: {type(e).__name__}: {e}. It must '
      f'define get_config(); see configs/common.py'
    ) from e
  if not isinstance(config, ml_collections.ConfigDict):
    raise UserError(
      f'--config: get_config() of {file} returns {config!r}; it must return '
      f'the ConfigDict of configs/common.py with what differs set'
    )
  _check_fields(file, config)
  return config


def check_overrides(config: ml_collections.ConfigDict, argv: list[str]) -> None:
  """Refuses `--config.x=y` in `argv` where x is no field, or y no such value.

  Raises:
    UserError: naming the nearest field there is, or the type that it has.
  """
  known = fields(config.to_dict())
  for argument in argv:
    match = re.match(
      r'--?(?:no)?config\.([^=]+)(?:=(.*))?', argument, re.DOTALL
    )
    if not match:
      continue
    name, text = match.groups()
    if name in known:
      if text is not None:
        _check_type(name, known[name], text)
      continue
    if any(field.startswith(f'{name}.') for field in known):
      raise UserError(
        f'--config.{name} is a group of fields; set one of them: '
        f'{", ".join(f for f in known if f.startswith(f"{name}."))}'
      )
    raise UserError(
      f'there is no field config.{name}{_near_field(name, known)}; '
      f'configs/common.py lists them all'
    )


def set_none(config: ml_collections.ConfigDict) -> None:
  """Makes None of the text 'None' in fields that may be None.

  The command line sets such a field of text to the word as it stands.
  """
  may_be_none = fields(shipped.common().get_config().to_dict())
  for field, default in may_be_none.items():
    group, _, name = field.rpartition('.')
    owner = config[group] if group else config
    if default is None and str(owner[name]).lower() == 'none':
      owner[name] = None


# Fields that configs of version 0.1 and 0.2 lack, with what to take for them.
_ADDED = {
  'model.precision': 'float32',
  'run.hook': '',
  'run.host_wait': 300.0,
  'run.host_timeout': 30.0,
  'run.data_on_host': False,
}


def complete(old: dict[str, Any]) -> dict[str, Any]:
  """A config as `to_json` wrote it, with the fields that were added since."""
  config = copy.deepcopy(old)
  for field, value in _ADDED.items():
    group, name = field.split('.')
    if group in config:
      config[group].setdefault(name, value)
  return config


def to_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """`config` in the types of JSON, the form that is written to disk."""
  return json.loads(json.dumps(config.to_dict()))


def result_changes(
  old: dict[str, Any], new: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
  """Fields that differ and change the result: field to (old, new) value.

  `old` may be of an earlier version, whose configs had fewer fields.

  Some fields are free: those of `run`; the name and place of the data, whose
  content has a fingerprint of its own, and of their mean image, which the state
  holds; the number of damaged pictures that is borne; and the checkpoint that
  training started from, which has been loaded.
  """
  free = (
    'run.',
    'dataset.data_dir',
    'dataset.npz',
    'dataset.name',
    'dataset.folder',
    'dataset.max_damaged',
    'dataset.mean_file',
    'finetune.checkpoint',
  )
  old, new = fields(complete(old)), fields(new)
  return {
    field: (old.get(field), new.get(field))
    for field in sorted(old.keys() | new.keys())
    if not field.startswith(free) and old.get(field) != new.get(field)
  }


def fields(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  """The leaves of a config by dotted name, such as `model.name`."""
  leaves: dict[str, Any] = {}
  for key, value in tree.items():
    if isinstance(value, dict):
      leaves |= fields(value, f'{prefix}{key}.')
    else:
      leaves[prefix + key] = value
  return leaves


def _check_fields(
  file: pathlib.Path, config: ml_collections.ConfigDict
) -> None:
  """Refuses fields that a config file has invented, or left out."""
  known = fields(shipped.common().get_config().to_dict())
  found = fields(config.to_dict())
  for name in sorted(found.keys() - known.keys()):
    raise UserError(
      f'--config: {file} sets {name!r}, and there is no such field'
      f'{did_you_mean(name, known)}; configs/common.py lists them all'
    )
  for name in sorted(known.keys() - found.keys()):
    raise UserError(
      f'--config: {file} has no field {name!r}; start from '
      f'configs.common.get_config(), which has them all'
    )


# What others call a field, and ours do not start or end like.
_SYNONYMS = {
  'lr': 'schedule.learning_rate',
  'wd': 'optimizer.weight_decay',
  'bs': 'batch_size',
  'epochs': 'duration',
  'num_epochs': 'duration',
  'steps': 'duration',
  'arch': 'model.name',
  'network': 'model.name',
  'model': 'model.name',
  'data': 'dataset.folder',
}


def _near_field(name: str, known: Mapping[str, Any]) -> str:
  """The hint at the field that was meant, by its whole name or its last part.

  The last parts are compared, too, for most who err leave out the group.
  """
  leaf = name.split('.')[-1].lower().replace('-', '_')
  if leaf in _SYNONYMS:
    return f' (did you mean {_SYNONYMS[leaf]!r}?)'
  leaves = {field.split('.')[-1]: field for field in reversed([*known])}
  same_leaf = [field for field in known if field.split('.')[-1] == leaf]
  guess = did_you_mean(name, same_leaf or known)
  if guess:
    return guess
  near = difflib.get_close_matches(leaf, list(leaves), 1)
  return f' (did you mean {leaves[near[0]]!r}?)' if near else ''


def _check_type(name: str, default: Any, text: str) -> None:
  kinds: dict[type, tuple[flags.ArgumentParser, str]] = {
    bool: (flags.BooleanParser(), 'True or False'),
    int: (flags.IntegerParser(), 'a whole number'),
    float: (flags.FloatParser(), 'a number'),
  }
  if type(default) not in kinds:
    return
  parser, kind = kinds[type(default)]
  try:
    parser.parse(text)
  except ValueError as e:
    raise UserError(
      f'config.{name} cannot be {text!r}; it must be {kind}, such as {default}'
    ) from e
