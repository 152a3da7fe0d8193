"""The facts that a checkpoint holds beside its arrays, and a hash of them.

They are JSON. `hashes` among them has the fingerprint of each array, and under
one more name that of the facts themselves.
"""

import concurrent.futures
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from resnet_jax.runs.leaves import fingerprint

# The name among the hashes for that of all facts.
_OWN = 'meta'
# The kinds of the facts that every checkpoint has had from 0.1 on.
_KINDS = {'config': dict, 'num_classes': int, 'class_names': list, 'data': str}


class DamagedError(Exception):
  """A checkpoint that does not hold the bytes that were written."""


def seal(
  facts: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
  """`facts`, with the hashes of themselves and of the arrays."""
  hashes = hashes_of(arrays) | {_OWN: hash_json(facts)}
  return facts | {'hashes': hashes}


def unseal(content: Any) -> dict[str, Any]:
  """The facts that `seal` was given, with the hashes of the arrays alone.

  Those of 0.1 and 0.2 have no hash, and must be of the right kinds.

  Raises:
    DamagedError: they are not what was written.
  """
  if not isinstance(content, dict) or not isinstance(
    content.get('hashes'), dict
  ):
    raise DamagedError('its meta is not what was written')
  hashes = dict(content['hashes'])
  own = hashes.pop(_OWN, None)
  facts = {name: x for name, x in content.items() if name != 'hashes'}
  if own is not None and own != hash_json(facts):
    raise DamagedError('its meta is not what was written')
  if own is None:
    for name, kind in _KINDS.items():
      if not isinstance(facts.get(name), kind):
        raise DamagedError(f'its meta has no {name}')
    if len(facts['class_names']) != facts['num_classes']:
      raise DamagedError('its meta does not name each class')
  return facts | {'hashes': hashes}


def fingerprint_at(path: pathlib.Path) -> str | None:
  """The `Found.fingerprint` of a checkpoint SERIES/STEP, by its facts alone.

  None where it is gone, or its facts are damaged.
  """
  try:
    content = json.loads((path / 'meta' / 'metadata').read_bytes())
    return hash_json(unseal(content)['hashes'])
  except (OSError, ValueError, RecursionError, DamagedError):
    return None


def hashes_of(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
  """The fingerprint of each array, by its name.

  On many threads, since all hosts wait for it when they save.
  """
  with concurrent.futures.ThreadPoolExecutor() as threads:
    prints = threads.map(fingerprint, arrays.values())
    return dict(zip(arrays, prints, strict=True))


def hash_json(content: Any) -> str:
  """A hash of what JSON keeps of `content`, whatever the order of its keys."""
  kept = json.loads(json.dumps(content))
  text = json.dumps(kept, sort_keys=True)
  return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
