"""The strings of a safetensors file that say what its weights do not show."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.runs.meta import hash_json, hashes_of
from resnet_jax.weights import files

_DIGEST = 'digest'


def write(
  model: Mapping[str, Any],
  pixels: Mapping[str, np.ndarray | None],
  class_names: Sequence[str] | None,
  *,
  antialias: bool,
  arrays: Mapping[str, np.ndarray],
) -> dict[str, str]:
  """The strings, each JSON but the last, a hash of the others and the arrays.

  Args:
    model: Name and fields of the network.
    pixels: `mean` and `std` of pixels; those not of three colours are left out.
    class_names: The classes in the order of their labels.
    antialias: Whether pictures were smoothed when they were scaled down.
    arrays: The weights; the format itself has no checksum.
  """
  found = {
    'format': 'pt',  # PyTorch's libraries require it
    'model': json.dumps(dict(model)),
    'antialias': json.dumps(antialias),
  }
  if class_names:
    found['class_names'] = json.dumps(list(class_names))
  for key, x in pixels.items():
    if x is not None and x.shape[-1:] == (3,):
      found[key] = json.dumps(x.tolist())
  return found | {_DIGEST: _digest(found, arrays)}


def check(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Refuses a file of ours that no longer holds what was written.

  Args:
    path: The file; one without our hash passes.
    arrays: What was read from it.

  Raises:
    UserError: it is damaged, or another program has changed it.
  """
  found = files.read_metadata(path)
  written = found.pop(_DIGEST, None)
  if written is not None and written != _digest(found, arrays):
    raise UserError(
      f'{path} does not hold what was exported: it is damaged, or another '
      f'program has changed it. Copy or export it anew; if the change was '
      f'meant, take {_DIGEST!r} out of its metadata'
    )


@dataclasses.dataclass(frozen=True)
class Noted:
  """What `write` has written; None where a file does not say.

  Attributes:
    overrides: Fields of the network beside its name.
    normalization: Normalization of pixels.
    class_names: The classes in the order of their labels.
    antialias: Whether pictures were smoothed when they were scaled down; True
      where a file does not say, as torchvision and timm do.
  """

  overrides: dict[str, str]
  normalization: Normalization | None
  class_names: list[str] | None
  antialias: bool = True

  @classmethod
  def of_file(cls, path: pathlib.Path) -> 'Noted':
    found = files.read_metadata(path)
    try:
      noted = {
        key: json.loads(found[key])
        for key in ('model', 'mean', 'std', 'class_names', 'antialias')
        if key in found
      }
      if 'name' not in noted.get('model', {}):
        # Another program may mean another scale by its `mean`.
        return cls({}, None, None)
      overrides = {
        key: str(value)
        for key, value in noted.get('model', {}).items()
        if key in ('version', 'stem_pool')
      }
      pixels = None
      if 'mean' in noted and 'std' in noted:
        pixels = _normalization(noted['mean'], noted['std'])
      labels = noted.get('class_names')
      labels = None if labels is None else [str(label) for label in labels]
    except (ValueError, TypeError, AttributeError, UserError):
      # The metadata of another program.
      return cls({}, None, None)
    return cls(overrides, pixels, labels, noted.get('antialias', True) is True)


def _digest(
  metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]
) -> str:
  return hash_json({'metadata': dict(metadata), 'arrays': hashes_of(arrays)})


def _normalization(mean: Any, std: Any) -> Normalization:
  """The normalization of a file's metadata; its mean may be an image."""
  mean = np.asarray(mean, np.float32)
  if mean.ndim == 3 and np.isfinite(mean).all():
    colors = Normalization.of_colors(mean.mean((0, 1)).tolist(), std)
    return Normalization(mean, colors.std)
  return Normalization.of_colors(mean.tolist(), [float(x) for x in std])
