"""Paths that a user names: a leading ~ is their home, and URLs are refused."""

import functools
import os
import pathlib
import re
from collections.abc import Callable

from resnet_jax.errors import UserError


def local_path(text: str, name: str) -> pathlib.Path:
  """The file or folder of this computer that `text` names, see `expand`."""
  return pathlib.Path(expand(text, name))


def argument(name: str) -> Callable[[str], pathlib.Path]:
  """The `type` of the argument `name` of a command."""
  return functools.partial(local_path, name=name)


def expand(text: str, name: str) -> str:
  """`text` with the user's home in place of a leading ~.

  Args:
    text: As it was written; a shell expands ~ only at the start of a word, and
      so not in --workdir=~/runs.
    name: The flag or field, for the error message.

  Raises:
    UserError: it is a URL, which would become a folder named 'gs:', or the home
      of somebody unknown.
  """
  check_local(text, name)
  expanded = os.path.expanduser(text)
  if text.startswith('~') and expanded == text:
    raise UserError(
      f'{name}={text}: there is no such home folder; write the path in full'
    )
  return expanded


def check_local(text: str, name: str) -> None:
  """Refuses a URL.

  Raises:
    UserError: naming its scheme, and what to do.
  """
  if scheme := re.match(r'([A-Za-z][A-Za-z0-9+.-]*):/', text):
    raise UserError(
      f'{name}={text} is a URL, and files are read and written on this '
      f'computer alone: copy or mount what is behind {scheme[1]}:// and give '
      f'the path of that'
    )
