"""Files of weights: safetensors, NumPy's .npz, and PyTorch's own."""

import os
import pathlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

# The import registers NumPy's dtype `bfloat16`, which safetensors looks up.
import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from resnet_jax.errors import UserError
from resnet_jax.weights import names

_TORCH = ('.pth', '.pt', '.th')
# In earlier versions `weights_only=True` can be made to run code
# (CVE-2025-32434).
_LEAST_TORCH = (2, 6)
SUFFIXES = ('.safetensors', '.npz', *_TORCH)
# Entries of a PyTorch checkpoint that hold weights, in order of preference. The
# averaged ones are taken only where there are no others.
_INSIDE = (
  'state_dict',
  'model_state_dict',
  'model',
  'net',
  'state_dict_ema',
  'model_ema',
)


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Arrays by name of a `.safetensors`, `.npz`, `.pth`, `.pt` or `.th` file.

  float16 and bfloat16 become float32, which is exact; other dtypes stay. A
  PyTorch checkpoint may be a dict: its entry `state_dict`, `model` or the like
  is taken, and of the names that wrap the network `names.unwrap` takes care. No
  pickle is run: PyTorch reads with `weights_only=True`.

  Raises:
    UserError: there is no such file, it is damaged or of another kind, it does
      not hold arrays alone, or PyTorch is needed and not installed.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    what = 'is a folder' if path.is_dir() else 'does not exist'
    raise UserError(f'{path} {what}; name a file of weights')
  if path.suffix == '.safetensors':
    arrays = _read_safetensors(path)
  elif path.suffix == '.npz':
    arrays = _read_npz(path)
  elif path.suffix in _TORCH:
    arrays = _read_torch(path)
  else:
    raise UserError(
      f'{path} ends in {path.suffix or "no suffix"!r}, and weights are read '
      f'from {", ".join(SUFFIXES)}; if it is one of these, '
      f'rename it'
    )
  if not arrays:
    raise UserError(f'{path} holds no arrays at all; is it the right file?')
  return names.unwrap({name: _widen(x) for name, x in arrays.items()})


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
  """The strings that a `.safetensors` file carries; {} for other files.

  Raises:
    UserError: the file is damaged.
  """
  path = pathlib.Path(path)
  if path.suffix != '.safetensors':
    return {}
  try:
    with safetensors.safe_open(path, framework='np') as file:
      return file.metadata() or {}
  except (safetensors.SafetensorError, OSError) as e:
    raise _damaged(path, 'safetensors', e) from e


def write_safetensors(
  path: str | os.PathLike,
  arrays: Mapping[str, np.ndarray],
  metadata: Mapping[str, str] | None = None,
) -> None:
  """Writes `arrays` of any shapes and dtypes; the file is whole or absent.

  A file that exists is replaced.

  Raises:
    UserError: it cannot be written there, or is not named `.safetensors`.
  """
  path = pathlib.Path(path)
  if path.suffix != '.safetensors':
    raise UserError(f'{path} must end in .safetensors, the format it will have')
  # The library writes memory without regard to strides. `asarray` keeps 0-d
  # arrays 0-d, which `ascontiguousarray` does not.
  arrays = {name: np.asarray(x, order='C') for name, x in arrays.items()}
  part = path.with_name(f'.{path.name}.{os.getpid()}.part')
  try:
    try:
      safetensors.numpy.save_file(arrays, part, metadata=dict(metadata or {}))
      part.replace(path)
    finally:
      part.unlink(missing_ok=True)
  except (OSError, safetensors.SafetensorError) as e:
    raise UserError(
      f'{path} cannot be written: {e}. Make its folder, or room on the disk, '
      f'or name another'
    ) from e


def _widen(x: np.ndarray) -> np.ndarray:
  narrow = x.dtype in (np.float16, ml_dtypes.bfloat16)
  return x.astype(np.float32) if narrow else x


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    return safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, OSError) as e:
    raise _damaged(path, 'safetensors', e) from e
  except (KeyError, TypeError, AttributeError) as e:  # such as a float8
    raise UserError(
      f'{path} holds numbers of a kind that is not read here ({e}); save them '
      f'as float32'
    ) from e


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  if not zipfile.is_zipfile(path):
    raise _damaged(path, '.npz', 'it is no zip archive')
  try:
    with np.load(path, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except ValueError as e:
    if 'allow_pickle' in str(e):
      raise UserError(
        f'{path} holds Python objects, which could run code when they are '
        f'read, so it was not read; save arrays of numbers alone'
      ) from e
    raise _damaged(path, '.npz', e) from e
  except Exception as e:  # zipfile, zlib and NumPy have their own errors
    raise _damaged(path, '.npz', e) from e


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    import torch
  except ImportError as e:
    raise UserError(
      f'{path} is a PyTorch file, and PyTorch is not installed: pip install '
      f'torch, or convert the file to .safetensors where it is'
    ) from e
  if tuple(map(int, torch.__version__.split('.')[:2])) < _LEAST_TORCH:
    raise UserError(
      f'{path} was not read: PyTorch {torch.__version__} can be made to run '
      f"code by a file of weights; pip install 'torch>=2.6'"
    )
  with path.open('rb') as file:
    start = file.read(12)
  if not start.startswith((b'PK', b'\x80')):  # a zip archive, or a pickle
    raise _damaged(path, 'PyTorch', f'it begins with {start!r}')
  try:
    with warnings.catch_warnings():  # about pickle protocols
      warnings.simplefilter('ignore')
      content = torch.load(path, weights_only=True, map_location='cpu')
  except Exception as e:  # garbage raises any of a dozen kinds
    raise _not_loaded(path, e) from e
  if not isinstance(content, Mapping):
    raise UserError(
      f'{path} holds a {type(content).__name__} and not a dict of weights; '
      f'save model.state_dict()'
    )
  weights = content
  while inside := [k for k in _INSIDE if isinstance(weights.get(k), Mapping)]:
    weights = weights[inside[0]]
  others = [k for k, x in weights.items() if not isinstance(x, torch.Tensor)]
  if others:
    kind = type(weights[others[0]]).__name__
    raise UserError(
      f'{path} holds {others[0]!r}, a {kind}, where weights should be; they '
      f'are looked for in the file itself and under {", ".join(_INSIDE)}. Save '
      f'model.state_dict()'
    )
  try:
    return {str(name): _to_numpy(torch, x) for name, x in weights.items()}
  except (RuntimeError, TypeError) as e:  # sparse, quantized, on no device
    raise UserError(
      f'{path} holds tensors that are no plain arrays ({_first_sentence(e)}); '
      f'save dense float32 ones'
    ) from e


def _to_numpy(torch: Any, x: Any) -> np.ndarray:
  narrow = x.dtype in (torch.bfloat16, torch.float16)
  return (x.detach().float() if narrow else x.detach()).numpy()


def _not_loaded(path: pathlib.Path, error: Exception) -> UserError:
  text = str(error)
  named = re.search(r'GLOBAL (\S+)', text)
  if named or 'weights_only=True with TorchScript' in text:
    what = named[1] if named else 'a TorchScript program'
    return UserError(
      f'{path} holds more than arrays: reading it would run or make {what}, '
      f'so it was not read. If you trust whoever made it, write the weights '
      f'alone where it was made: torch.save(model.state_dict(), FILE)'
    )
  if 'weights_only' in text:  # its advice would be to run the pickle
    return _damaged(path, 'PyTorch', 'it is a pickle of another kind')
  return _damaged(path, 'PyTorch', error)


def _damaged(
  path: pathlib.Path, kind: str, error: Exception | str
) -> UserError:
  reason = _first_sentence(error)
  return UserError(
    f'{path} is cut short, damaged or no {kind} file, and was not read '
    f'({path.stat().st_size:,} bytes; {reason}). Copy or download it again, '
    f'and compare its checksum'
  )


def _first_sentence(error: Exception | str) -> str:
  text = str(error).strip() or type(error).__name__
  if isinstance(error, LookupError):  # its text alone says nothing
    text = f'{type(error).__name__} {text}'
  return re.split(r'\.\s', text)[0].splitlines()[0].rstrip('.')[:200]
