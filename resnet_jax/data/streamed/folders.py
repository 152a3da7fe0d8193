"""The pictures of a folder: which files they are, and which are left out.

Training and `resnet_jax.predict` follow this one rule. A picture is a file with
one of `SUFFIXES`, in capitals or not, in the folder or in a folder below it.
Hidden files and folders, whose names begin with a dot, are left out, and links
to folders are not followed.
"""

import collections
import logging
import os

from resnet_jax.data.streamed.pillow import SUFFIXES
from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')

# How many files were left out, by suffix or kind.
LeftOut = collections.Counter[str]


def pictures_in(folder: str, left_out: LeftOut) -> list[tuple[bytes, int]]:
  """Path inside `folder` and size of each picture, by the bytes of the paths.

  Args:
    folder: The folder.
    left_out: Counts the other files.

  Raises:
    UserError: the folder cannot be read.
  """
  found: list[tuple[bytes, int]] = []
  waiting = [b'']
  root = os.fsencode(folder)
  try:
    while waiting:
      inside = waiting.pop()
      with os.scandir(os.path.join(root, inside)) as entries:
        for entry in entries:
          path = os.path.join(inside, entry.name)
          kind = _kind(entry)
          if kind == 'folder':
            waiting.append(path)
          elif kind == 'picture':
            found.append((path, entry.stat().st_size))
          else:
            left_out[kind] += 1
  except OSError as e:
    name = os.fsencode(e.filename or folder).decode('utf-8', 'backslashreplace')
    raise UserError(f'{name} cannot be read: {e.strerror}') from e
  return sorted(found)


def count_loose(folder: str, left_out: LeftOut) -> None:
  """Counts the files that lie beside the class folders of a split."""
  with os.scandir(os.fsencode(folder)) as entries:
    for entry in entries:
      kind = _kind(entry)
      if kind == 'picture':
        left_out['pictures outside of class folders'] += 1
      elif kind not in ('folder', 'link to a folder'):
        left_out[kind] += 1


def log_left_out(folder: str, left_out: LeftOut) -> None:
  """One line that says what was left out, the most frequent first."""
  if left_out:
    words = ', '.join(f'{n} {kind}' for kind, n in left_out.most_common())
    _log.warning(
      'left out of %s, as they are no pictures by their names: %s',
      folder,
      words,
    )


def _kind(entry: 'os.DirEntry[bytes]') -> str:
  """'folder', 'picture', or in words what is left out."""
  name = entry.name.decode('utf-8', 'backslashreplace')
  if name.startswith('.'):
    return 'hidden'
  if entry.is_dir(follow_symlinks=False):
    return 'folder'
  if entry.is_dir():
    return 'link to a folder'
  if not entry.is_file():
    return 'broken link or no file'
  suffix = os.path.splitext(name)[1].lower()
  return 'picture' if suffix in SUFFIXES else suffix or 'without a suffix'
