"""The folder of a run: made, checked for room, and written to whole."""

import json
import logging
import os
import pathlib
import shutil
from typing import Any

import jax

from resnet_jax.errors import UserError
from resnet_jax.runs.meta import hash_json

_log = logging.getLogger('resnet_jax')

# The last name in a JSON file of ours: a hash of all that stands before it.
_HASH = 'hash'


def make_workdir(workdir: pathlib.Path, flag: str = '--workdir') -> None:
  """Makes the folder, and refuses one that cannot be written to.

  Args:
    workdir: The folder.
    flag: The flag of the command line that names it.

  Raises:
    UserError: naming the folder and the system's reason.
  """
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    probe = workdir / f'.probe-{os.getpid()}'
    probe.write_bytes(b'\0' * 4096)
    probe.unlink()
  except OSError as e:
    raise UserError(
      f'{flag} {workdir} cannot be written to: {e.strerror}. Name another '
      f'folder with {flag}=DIR'
    ) from e


def check_space(workdir: pathlib.Path, state: Any, *, copies: int) -> None:
  """Refuses to begin where `copies` of `state` do not fit on the disk.

  Raises:
    UserError: with the megabytes that are needed and free.
  """
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  free = shutil.disk_usage(workdir).free
  if free < copies * size:
    raise UserError(
      f'--workdir {workdir}: {copies} checkpoints of {size / 1e6:,.1f} MB need '
      f'{copies * size / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free; make '
      f'room, or keep fewer with --config.run.checkpoints_kept=1'
    )


def set_aside(path: pathlib.Path, word: str = 'damaged') -> pathlib.Path:
  """Renames a file or folder to its `free_name`, and returns that."""
  return path.rename(free_name(path, word))


def free_name(path: pathlib.Path, word: str = 'damaged') -> pathlib.Path:
  """The path with NAME.word, or NAME.word-2 ... where that is taken."""
  number, free = 1, path.with_name(f'{path.name}.{word}')
  while os.path.lexists(free):
    number += 1
    free = path.with_name(f'{path.name}.{word}-{number}')
  return free


def clear_folder(path: pathlib.Path) -> None:
  """Sets aside what is no folder and stands where one is to be."""
  if jax.process_index() == 0 and path.exists() and not path.is_dir():
    aside = set_aside(path)
    _log.warning('%s is no folder; it is now %s', path, aside.name)


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
  """Writes `content` from the first host; the file is whole at every moment.

  A hash is added, which `read_json` takes away.
  """
  if jax.process_index() == 0:
    sealed = content | {_HASH: hash_json(content)}
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(sealed, indent=2) + '\n', encoding='utf-8')
    draft.rename(path)


def read_json(path: pathlib.Path) -> Any:
  """What `write_json` was given; files of 0.1 and 0.2 have no hash.

  Raises:
    ValueError: it is no JSON, or not what was written.
    OSError: it cannot be read.
  """
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except RecursionError as e:
    raise ValueError('it is nested too deeply') from e
  if not isinstance(content, dict) or not content:
    return content
  # By its place, so that damage to the name does not pass for an old file.
  *names, last = content
  facts = {name: content[name] for name in names}
  if content[last] == hash_json(facts):
    return facts
  if _HASH in content:
    raise ValueError('its hash is of other content: damaged, or edited')
  return content
