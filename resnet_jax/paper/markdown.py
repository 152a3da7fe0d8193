"""Tables, commands and names as Markdown, and numbers as they stand in it.

  table(('network', '>error'), [(escape(name), number(8.754))])

The sections of the report are written in this alone; `report` shows them as a
page, as a file, and on a terminal.
"""

import re
import shlex
import statistics
from collections.abc import Sequence

MISSING = '\N{EN DASH}'
_MINUS = '\N{MINUS SIGN}'
_COMMAND_WIDTH = 76  # fits a terminal of 80 columns with a margin


def escape(text: str) -> str:
  """`text` on one line, such that Markdown shows it literally.

  HTML in it is shown, too, by a renderer that does not let HTML pass. What has
  no sign, such as the escape that commands a terminal, is a question mark.
  """
  line = ' '.join(text.split())
  line = ''.join(c if c.isprintable() else '?' for c in line)
  line = re.sub(r'([\\`*{}\[\]<>~&$|#!])', r'\\\1', line)
  # Within a word it is literal.
  line = re.sub(r'(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])', r'\\_', line)
  # At the start of a line these would make a list or a rule.
  return re.sub(r'^(\d*)([+.)=-])', r'\1\\\2', line)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A table that is aligned in its source, too.

  Args:
    columns: The header; a leading '>' aligns that column to the right.
    rows: Cells in Markdown, one for each column.
  """
  right = [name.startswith('>') for name in columns]
  lines = [[name.removeprefix('>') for name in columns], *map(list, rows)]
  widths = [max(3, *map(len, cells)) for cells in zip(*lines, strict=True)]
  rule = [
    '-' * (width - 1) + (':' if flush else '-')
    for width, flush in zip(widths, right, strict=True)
  ]
  return '\n'.join(
    '| '
    + ' | '.join(
      cell.rjust(width) if flush else cell.ljust(width)
      for cell, width, flush in zip(line, widths, right, strict=True)
    )
    + ' |'
    for line in (lines[0], rule, *lines[1:])
  )


def command(words: Sequence[str]) -> str:
  """A command to copy, broken between words where it is too long."""
  lines = ['']
  for word in map(shlex.quote, words):
    # Two columns are for the backslash.
    if lines[-1].strip() and len(lines[-1] + word) + 2 > _COMMAND_WIDTH:
      lines.append('  ')
    lines[-1] += f'{word} '
  text = ' \\\n'.join(line.rstrip() for line in lines)
  longest = max(map(len, re.findall('`+', text)), default=0)
  fence = '`' * max(3, longest + 1)
  return f'{fence}bash\n{text}\n{fence}'


def number(value: float | None, digits: int = 2) -> str:
  """Formats like '6.97'; None is a dash."""
  if value is None:
    return MISSING
  return f'{value:.{digits}f}'.replace('-', _MINUS)


def difference(ours: float | None, paper: float | None, digits: int = 2) -> str:
  """Formats like '+0.32' or '\N{MINUS SIGN}0.10'; a dash where one is None."""
  if ours is None or paper is None:
    return MISSING
  # A reader who subtracts what is printed gets what is printed.
  shown = round(ours, digits) - round(paper, digits)
  text = number(abs(shown), digits)
  if float(text) == 0:
    return text
  return ('+' if shown > 0 else _MINUS) + text


def mean_std(values: Sequence[float], digits: int = 2) -> str:
  """Formats like '6.61 \N{PLUS-MINUS SIGN} 0.16', with the sample deviation.

  One value stands alone, and none is a dash.
  """
  if len(values) < 2:
    return number(values[0] if values else None, digits)
  mean, std = statistics.fmean(values), statistics.stdev(values)
  return f'{number(mean, digits)} \N{PLUS-MINUS SIGN} {number(std, digits)}'


def strong(text: str) -> str:
  """Bold text; a dash stays as light as it is."""
  return text if text == MISSING else f'**{text}**'
