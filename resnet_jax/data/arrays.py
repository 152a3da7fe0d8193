"""Reads arrays of an .npz file that may be damaged, or may lie about its sizes.

The header of each array is held against the size of the file before memory is
taken for it; zipfile's checksums find what is damaged in the data themselves.
"""

import math
import pathlib
import warnings
import zipfile
from collections.abc import Sequence
from typing import IO

import numpy as np

from resnet_jax.errors import UserError, first_line

# Deflate shrinks no data by more (zlib's technical details).
_MOST_SHRUNK = 1032
# Letters of NumPy's kinds of type, in words.
_KINDS = {
  'u': 'uint8',
  'iu': 'integers',
  'f': 'floating point',
  'U': 'text',
}


def read_npz(
  file: pathlib.Path,
  names: Sequence[str],
  *,
  kinds: Sequence[str],
  mend: str,
) -> list[np.ndarray]:
  """The arrays `names` of an .npz file.

  Args:
    file: The file.
    names: Their names.
    kinds: For each, the key of `_KINDS` that it may be of.
    mend: What the user can do about a damaged file, for the message.

  Raises:
    UserError: the file lacks an array, or one is damaged or of another kind.
  """
  try:
    with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
      # NumPy warns of headers of Python 2, which a damaged one may look like.
      warnings.simplefilter('ignore')
      held = {n.removesuffix('.npy') for n in archive.namelist()}
      missing = [name for name in names if name not in held]
      if missing:
        raise UserError(
          f'{file} lacks {", ".join(missing)}; it holds '
          f'{", ".join(sorted(map(_shown, held))[:20]) or "nothing"}'
        )
      size = file.stat().st_size
      for name, allowed in zip(names, kinds, strict=True):
        _check_header(f'{file}: {name}', archive, f'{name}.npy', allowed, size)
      return [_read(archive, f'{name}.npy') for name in names]
  except UserError:
    raise
  # zipfile, zlib, tokenize and NumPy raise a dozen kinds on damaged files.
  except Exception as e:
    raise UserError(
      f'{file} is damaged or no .npz file ({_shown(first_line(e))}); {mend}'
    ) from e


def _check_header(
  where: str, archive: zipfile.ZipFile, name: str, allowed: str, size: int
) -> None:
  """Refuses an array of another kind, or larger than what the file can hold."""
  info = archive.getinfo(name)
  with archive.open(info) as stream:
    shape, dtype = _header(stream)
    start = stream.tell()
  if dtype.kind not in allowed:
    raise UserError(
      f'{where} is of type {dtype}, and must be of {_KINDS[allowed]}'
    )
  declared = math.prod(shape) * dtype.itemsize
  most = _MOST_SHRUNK if info.compress_type else 1
  if min(shape, default=0) < 0 or start + declared != info.file_size:
    raise ValueError(
      f'{name} says that it is {dtype} {list(shape)}, {declared:,} bytes, and '
      f'{info.file_size - start:,} are there'
    )
  if info.compress_size > size or info.file_size > most * info.compress_size:
    raise ValueError(
      f'{name} says that it is {declared:,} bytes, which a file of {size:,} '
      f'cannot hold'
    )


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
  major, _ = version = np.lib.format.read_magic(stream)
  if version == (1, 0):
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
  elif version == (2, 0):
    shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
  else:
    raise ValueError(f'its arrays are of version {major} of the .npy format')
  return shape, dtype


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
  with archive.open(name) as stream:
    array = np.lib.format.read_array(stream, allow_pickle=False)
    stream.read(1)  # zipfile compares checksums at the end
  return np.asarray(array)


def _shown(text: str) -> str:
  """Damaged names as they can be printed."""
  return text.encode('unicode_escape').decode()
