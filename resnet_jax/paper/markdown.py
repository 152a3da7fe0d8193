"""A document as GitHub-flavored Markdown, as readable in its source.

file.write_text(markdown.render(document, file.parent))
"""

import itertools
import os
import pathlib
import re
import urllib.parse
from collections.abc import Iterator, Sequence

from resnet_jax.paper.document import (
  Block,
  Command,
  Document,
  Figure,
  Paragraph,
  Section,
  Table,
  numeric_columns,
  split_code,
)


def render(document: Document, relative_to: pathlib.Path) -> str:
  """The Markdown, with figures linked from the folder `relative_to`.

  Raises:
    UserError: the file of a figure is missing.
  """
  head = [f'# {_inline(document.title)}', _paragraph(document.lead)]
  if document.facts:
    head.append(
      '\n'.join(
        f'- {_inline(name)}: {_inline(value)}' for name, value in document.facts
      )
    )
  sections = itertools.chain.from_iterable(
    _section(section, relative_to) for section in document.sections
  )
  return '\n\n'.join([*head, *sections]) + '\n'


def _section(section: Section, folder: pathlib.Path) -> Iterator[str]:
  # A renderer of Markdown makes ids of headings by rules of its own.
  yield f'<a id="{section.key}"></a>'
  yield f'## {_inline(section.title)}'
  yield _label(section.label)
  for block in section.blocks:
    yield from _block(block, section.label, folder)


def _block(block: Block, label: str, folder: pathlib.Path) -> Iterator[str]:
  match block:
    case Paragraph(text):
      yield _paragraph(text)
    case Command():
      yield _command(block)
    case Table():
      yield from _table(block, label)
    case Figure():
      yield _picture(block, folder)
      yield f'{_inline(block.caption)} {_label(label)}'


def _command(command: Command) -> str:
  runs = re.findall('`{3,}', command.text)
  fence = max((run + '`' for run in runs), key=len, default='```')
  return f'{fence}bash\n{command.text.strip()}\n{fence}'


def _table(table: Table, label: str) -> Iterator[str]:
  yield f'{_inline(table.caption)} {_label(label)}'
  rows = [
    [_in_cell(text) for text in row]
    for row in (
      table.header,
      *([cell.text for cell in row] for row in table.rows),
    )
  ]
  # A rule is at least three characters wide.
  widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
  right = numeric_columns(table)
  rule = [
    '-' * (width - 1) + ':' if flush else '-' * width
    for width, flush in zip(widths, right, strict=True)
  ]
  yield '\n'.join(
    _row(row, widths, right) for row in (rows[0], rule, *rows[1:])
  )
  for note in table.notes:
    yield _command(note) if isinstance(note, Command) else _paragraph(note)


def _row(
  row: Sequence[str], widths: Sequence[int], right: Sequence[bool]
) -> str:
  cells = (
    text.rjust(width) if flush else text.ljust(width)
    for text, width, flush in zip(row, widths, right, strict=True)
  )
  return f'| {" | ".join(cells)} |'


def _picture(figure: Figure, folder: pathlib.Path) -> str:
  # The PNG, since it has a ground of its own: a reader's theme for Markdown and
  # the theme that an SVG takes from the system need not agree.
  png, svg = (
    urllib.parse.quote(
      pathlib.Path(os.path.relpath(figure.file(suffix), folder)).as_posix()
    )
    for suffix in ('.png', '.svg')
  )
  return f'[![{_inline(figure.alt)}]({png})]({svg})'


def _label(label: str) -> str:
  return f'**{_inline(label)}**'


def _paragraph(text: str) -> str:
  line = _inline(text)
  # At the start of a line these would be a heading, a list or a quotation.
  return re.sub(r'^(\d*)([#+.)=-])', r'\1\\\2', line)


def _in_cell(text: str) -> str:
  lines = (_inline(line).replace('|', '\\|') for line in text.split('\n'))
  return '<br>'.join(lines)


def _inline(text: str) -> str:
  return ''.join(
    f'`{piece}`' if code else _literal(piece)
    for piece, code in split_code(' '.join(text.split()))
  )


def _literal(text: str) -> str:
  return re.sub(r'([\\`*_{}\[\]<>~&$])', r'\\\1', text)
