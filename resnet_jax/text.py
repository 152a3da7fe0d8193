"""Text that leaves us: names as they can be shown, and files that are whole.

Names of files and classes are others' words. A newline in one would print as a
line of ours, an escape sequence would steer a terminal, and a cell that begins
like a formula would be run by a spreadsheet.
"""

import contextlib
import errno
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterator
from typing import TextIO

# Control characters; halves of pairs, by which Python stands for bytes that are
# no UTF-8; and separators of lines and paragraphs.
_HIDDEN = ('Cc', 'Cs', 'Zl', 'Zp')
# Characters that turn the direction of what follows them on the line.
_TURNING = ('LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI')
_FORMULA = ('=', '+', '-', '@', '＝', '＋', '－', '＠')  # noqa: RUF001

_FALSE_OPENING = re.compile(r'\n(?=\s*(error|warning):)', re.IGNORECASE)


def plain(text: str) -> str:
  """`text` on one line, what cannot be shown escaped as `\\n`, `\\xff` ..."""
  return ''.join(_escaped(c) if _is_hidden(c) else c for c in text)


def paragraph(text: str) -> str:
  """`plain` for a text of ours, whose own newlines stay.

  None of ours stands before a word that opens an error or a warning.
  """
  text = _FALSE_OPENING.sub(r'\\n', text)
  return '\n'.join(plain(line) for line in text.split('\n'))


def cell(text: str) -> str:
  """`plain`, as a cell of a CSV file that no spreadsheet takes for a formula.

  An apostrophe before it is what spreadsheets themselves mark text with.
  """
  text = plain(text)
  return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[TextIO]:
  """Opens a text file, in UTF-8, that takes the place of `path` at the end.

  It is written beside `path`, so that `path` is whole or as it was. Newlines
  are written as they are.

  Raises:
    OSError: it cannot be written.
  """
  if _is_device(path):
    with path.open('w', encoding='utf-8', newline='') as file:
      yield file
    return
  path = path.resolve()  # a link stays one
  part = _part(path)
  try:
    with part.open('w', encoding='utf-8', newline='') as file:
      yield file
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)


def check_replaceable(path: pathlib.Path) -> None:
  """Returns where `replacing` could write, and leaves no trace.

  Raises:
    OSError: it could not.
  """
  if _is_device(path):
    path.open('a', encoding='utf-8').close()
    return
  if path.is_dir():
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
  part = _part(path.resolve())
  part.touch()
  part.unlink()


def _is_device(path: pathlib.Path) -> bool:
  """Whether it is a device or a pipe, in whose place nothing can be put."""
  return path.exists() and not path.is_file() and not path.is_dir()


def _part(path: pathlib.Path) -> pathlib.Path:
  return path.with_name(f'.{path.name}.{os.getpid()}.part')


def _is_hidden(character: str) -> bool:
  return (
    unicodedata.category(character) in _HIDDEN
    or unicodedata.bidirectional(character) in _TURNING
  )


def _escaped(character: str) -> str:
  code = ord(character)
  if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name
    return f'\\x{code - 0xDC00:02x}'
  return character.encode('unicode_escape').decode('ascii')
