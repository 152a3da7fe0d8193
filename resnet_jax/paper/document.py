"""A report as data: sections of text, commands, tables and figures.

  section = Section(
    key='table6',
    title='Table 6: CIFAR-10',
    label='in full: 64,000 steps, 5 seeds',
    blocks=(Paragraph('Test error in %.'), Table(...), Figure(...)),
  )
  page = html.render(Document('Results', 'What was run.', (section,), facts))

`html`, `markdown` and `text` render it. In texts, captions, notes and cells,
`backticks` are code and everything else is literal; a newline breaks the line
in a cell and is a space elsewhere.
"""

import dataclasses
import pathlib
import re
import statistics
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from resnet_jax.errors import UserError

MISSING = '\N{EN DASH}'
_MINUS = '\N{MINUS SIGN}'

Kind: TypeAlias = Literal[
  'text', 'number', 'paper', 'ours', 'difference', 'missing'
]


@dataclasses.dataclass(frozen=True)
class Paragraph:
  text: str


@dataclasses.dataclass(frozen=True)
class Command:
  """One or more lines for a shell, to be copied as they stand."""

  text: str


@dataclasses.dataclass(frozen=True)
class Cell:
  """What stands in a table, and what it is: only `text` is left-aligned.

  `paper` and `ours` are numbers of the paper and of this project; `missing` is
  what the paper does not give or has not been run here.
  """

  text: str
  kind: Kind = 'text'

  def __post_init__(self) -> None:
    if self.kind not in get_args(Kind):
      raise ValueError(
        f'a cell is of kind {self.kind!r}; there are {get_args(Kind)}'
      )


@dataclasses.dataclass(frozen=True)
class Table:
  """A table whose first column names the rows.

  Attributes:
    caption: what it shows, with the unit.
    header: a name for each column.
    rows: cells, as many as the header has names.
    notes: below the table; a command says how to get what is missing.
  """

  caption: str
  header: Sequence[str]
  rows: Sequence[Sequence[Cell]]
  notes: Sequence[str | Command] = ()

  def __post_init__(self) -> None:
    for row in self.rows:
      if len(row) != len(self.header):
        raise ValueError(
          f'{self.caption!r}: the row of {row[0].text if row else "nothing"!r} '
          f'has {len(row)} cells and the header {len(self.header)}'
        )


@dataclasses.dataclass(frozen=True)
class Figure:
  """A picture that has been drawn: `stem`.svg for the page, `stem`.png else.

  Attributes:
    stem: path of both files, without the suffix.
    alt: what it shows, for who cannot see it.
    caption: what stands below it.
    command: what draws it, for who finds it gone.
  """

  stem: pathlib.Path
  alt: str
  caption: str
  command: str

  def file(self, suffix: str) -> pathlib.Path:
    """The file with `suffix`.

    Raises:
      UserError: there is none.
    """
    file = self.stem.with_name(self.stem.name + suffix)
    if not file.is_file():
      raise UserError(
        f'the figure {file} is not there; this draws it: {self.command}'
      )
    return file


Block: TypeAlias = Paragraph | Command | Table | Figure


@dataclasses.dataclass(frozen=True)
class Section:
  """A table or figure of the paper, or what else has a heading of its own.

  Attributes:
    key: its id in the page.
    title: the heading.
    blocks: the content, in order.
    label: how near the content is to the paper ('in full', 'not run',
      'shrunk: 500 of 64,000 steps, digits'). It is shown with the heading, each
      table and each figure, so that none can be quoted without it.
  """

  key: str
  title: str
  blocks: Sequence[Block]
  label: str

  def __post_init__(self) -> None:
    if not re.fullmatch(r'[A-Za-z][\w.-]*', self.key):
      raise ValueError(
        f'a section has the key {self.key!r}; it must be a letter, then '
        f"letters, digits, '_', '.' or '-'"
      )
    if not self.label.strip():
      raise ValueError(f'section {self.key} has no label')


@dataclasses.dataclass(frozen=True)
class Document:
  """A report; `facts` are names and values: versions, hardware, dates."""

  title: str
  lead: str
  sections: Sequence[Section]
  facts: Sequence[tuple[str, str]]

  def __post_init__(self) -> None:
    keys = [section.key for section in self.sections]
    for key in keys:
      if keys.count(key) > 1:
        raise ValueError(f'two sections have the key {key}')


def number(value: float | None, digits: int = 2) -> str:
  """As '6.97', or a dash for None."""
  return (
    MISSING if value is None else f'{value:.{digits}f}'.replace('-', _MINUS)
  )


def difference(ours: float | None, paper: float | None, digits: int = 2) -> str:
  """As '+0.32' or '\N{MINUS SIGN}0.10', of the numbers as `number` shows them.

  A dash where one of them is None.
  """
  if ours is None or paper is None:
    return MISSING
  # So that a reader who subtracts what is printed gets what is printed.
  shown = round(ours, digits) - round(paper, digits)
  text = number(abs(shown), digits)
  if float(text) == 0:
    return text
  return ('+' if shown > 0 else _MINUS) + text


def mean_std(values: Sequence[float], digits: int = 2) -> str:
  """As '6.61 \N{PLUS-MINUS SIGN} 0.16', with the sample standard deviation.

  One value stands alone, and none is a dash.
  """
  if len(values) < 2:
    return number(values[0] if values else None, digits)
  mean, std = statistics.fmean(values), statistics.stdev(values)
  return f'{number(mean, digits)} \N{PLUS-MINUS SIGN} {number(std, digits)}'


def split_code(text: str) -> list[tuple[str, bool]]:
  """`text` in pieces, each with whether it stood in backticks."""
  pieces = re.split(r'`([^`]+)`', text)
  return [(piece, i % 2 == 1) for i, piece in enumerate(pieces) if piece]


def numeric_columns(table: Table) -> list[bool]:
  """For each column whether it is aligned to the right: it has no words."""
  return [
    all(row[i].kind != 'text' or not row[i].text for row in table.rows)
    for i in range(len(table.header))
  ]
