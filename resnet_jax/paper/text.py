"""A section of a document for a terminal: plain text in 100 columns.

print(text.render(section))
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from resnet_jax.paper.document import (
  Block,
  Command,
  Figure,
  Paragraph,
  Section,
  Table,
  numeric_columns,
)

COLUMNS = 100
_GAP = '  '
_INDENT = '    '
# A word of a shell's line: quoted or not, without the blanks between words.
_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")


def render(section: Section) -> str:
  """The section in lines of at most 100 columns, but for words in commands.

  A command is broken between words alone, so that it still can be copied.

  Raises:
    UserError: the file of a figure is missing.
  """
  title = _wrap(section.title)
  underline = '=' * max(map(len, title.split('\n')))
  blocks = [f'{title}\n{underline}\n{_label(section.label)}']
  for block in section.blocks:
    blocks.extend(_block(block, section.label))
  return '\n\n'.join(blocks) + '\n'


def _block(block: Block, label: str) -> Iterator[str]:
  match block:
    case Paragraph(text):
      yield _wrap(text)
    case Command():
      yield _command(block)
    case Table():
      yield f'{_wrap(block.caption)}\n{_label(label)}\n\n{_table(block)}'
      for note in block.notes:
        yield _command(note) if isinstance(note, Command) else _wrap(note)
    case Figure():
      files = (str(block.file(suffix)) for suffix in ('.png', '.svg'))
      shown = '\n'.join(_INDENT + file for file in files)
      yield f'{_wrap(block.caption)}\n{_label(label)}\n{shown}'


def _label(label: str) -> str:
  return _wrap(f'[{label}]')


def _wrap(text: str) -> str:
  return '\n'.join(_filled(text, COLUMNS))


def _filled(text: str, width: int) -> list[str]:
  # Names of networks and options of commands have hyphens.
  return textwrap.wrap(text, width, break_on_hyphens=False) or ['']


def _command(command: Command) -> str:
  return '\n'.join(map(_continued, command.text.strip().split('\n')))


def _continued(line: str) -> str:
  """A line of a shell, broken by backslashes where it is too long."""
  words = _WORD.findall(line)
  whole = ''.join(line.split()) == ''.join(''.join(words).split())
  # No backslash goes into a quotation of several lines, or ends a comment.
  if not whole or any(word.startswith('#') for word in words):
    return _INDENT + line
  lines = [_INDENT]
  for word in words:
    # Two columns are for the backslash.
    if lines[-1].strip() and len(lines[-1]) + len(word) + 2 > COLUMNS:
      lines.append(_INDENT + '  ')
    lines[-1] += word + ' '
  return ' \\\n'.join(each.rstrip() for each in lines)


def _table(table: Table) -> str:
  rows = [
    table.header,
    *([cell.text for cell in row] for row in table.rows),
  ]
  widths = _widths(rows)
  right = numeric_columns(table)
  header, *body = ([*_lines(row, widths, right)] for row in rows)
  rule = _GAP.join('-' * width for width in widths)
  # Rows of several lines need a space between them to be told apart.
  spaced = any(len(lines) > 1 for lines in body)
  separator = '\n\n' if spaced else '\n'
  return '\n'.join(
    [*header, rule, separator.join('\n'.join(lines) for lines in body)]
  )


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
  """Of the columns: as wide as they need, the widest cut until all fit."""
  columns = list(zip(*rows, strict=True))
  widths = [_longest(column, r'[^\n]*') for column in columns]
  words = [_longest(column, r'\S*') for column in columns]
  space = COLUMNS - len(_GAP) * (len(widths) - 1)
  while sum(widths) > space and max(widths) > 1:
    # Words are broken only where nothing else is left.
    loose = [i for i, word in enumerate(words) if widths[i] > word]
    widest = max(loose or range(len(widths)), key=widths.__getitem__)
    widths[widest] -= 1
  return widths


def _longest(texts: Iterable[str], pattern: str) -> int:
  return max(
    len(found) for text in texts for found in re.findall(pattern, text)
  )


def _lines(
  row: Sequence[str], widths: Sequence[int], right: Sequence[bool]
) -> Iterator[str]:
  cells = [
    [
      piece
      for line in text.split('\n')
      for piece in _filled(line, max(width, 1))
    ]
    for text, width in zip(row, widths, strict=True)
  ]
  for i in range(max(map(len, cells))):
    pieces = (cell[i] if i < len(cell) else '' for cell in cells)
    aligned = (
      piece.rjust(width) if flush else piece.ljust(width)
      for piece, width, flush in zip(pieces, widths, right, strict=True)
    )
    yield _GAP.join(aligned).rstrip()
