"""Pytrees as flat dictionaries of named arrays, the form they are saved in."""

import hashlib
import pathlib
from typing import Any

import numpy as np
from flax import serialization, traverse_util

from resnet_jax.errors import UserError


def flatten(state: Any) -> dict[str, np.ndarray]:
  """Every leaf by its name, such as `params/conv1/kernel`."""
  tree = traverse_util.flatten_dict(serialization.to_state_dict(state), sep='/')
  return {name: np.asarray(x) for name, x in tree.items()}


def unflatten(leaves: dict[str, np.ndarray]) -> dict[str, Any]:
  """Nested dictionaries of leaves that `flatten` has named."""
  return traverse_util.unflatten_dict(leaves, sep='/')


def fill(
  template: Any, leaves: dict[str, np.ndarray], source: pathlib.Path
) -> Any:
  """The structure of `template` with the arrays of `leaves`.

  Args:
    template: A pytree of arrays, or of their shapes and dtypes.
    leaves: Arrays by name, as `flatten` returns them.
    source: The checkpoint that they come from, for the error message.

  Raises:
    UserError: names, shapes or dtypes differ; the message lists them.
  """
  empty = traverse_util.flatten_dict(
    serialization.to_state_dict(template), keep_empty_nodes=True, sep='/'
  )
  wanted = {k: v for k, v in empty.items() if v is not traverse_util.empty_node}
  differences = [
    *(f'lacks {name}' for name in wanted if name not in leaves),
    *(
      f'has {name}, which is unknown here'
      for name in leaves
      if name not in wanted
    ),
    *(
      f'{name} is {_kind(leaves[name])} and not {_kind(wanted[name])}'
      for name in wanted
      if name in leaves and _kind(leaves[name]) != _kind(wanted[name])
    ),
  ]
  if differences:
    more = len(differences) - 5
    raise UserError(
      f'{source} is the checkpoint of another network or optimizer: it '
      f'{"; it ".join(differences[:5])}{f"; and {more} more" * (more > 0)}. '
      f'Use the config that it was made with, or another --workdir'
    )
  filled = traverse_util.unflatten_dict(empty | leaves, sep='/')
  return serialization.from_state_dict(template, filled)


def fingerprint(x: np.ndarray) -> str:
  """A hash of the dtype, the shape and every byte of an array."""
  digest = hashlib.blake2b(digest_size=16)
  digest.update(f'{x.dtype}{x.shape}'.encode())
  digest.update(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
  return digest.hexdigest()


def _kind(x: Any) -> str:
  return f'{np.dtype(x.dtype)}{list(x.shape)}'
