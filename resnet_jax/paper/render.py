"""Markdown as one HTML page that stands alone, and on a terminal.

A page loads nothing and runs no script; HTML in the Markdown is shown as text.
"""

import base64
import html
import importlib.resources
import pathlib
import re
import string
import textwrap
import urllib.parse
from collections.abc import Sequence
from typing import Any, ClassVar

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, TableElement
from rich.table import Table
from rich.text import Text

from resnet_jax.paper.markdown import escape

_COLUMNS = 100  # of a terminal, at the most


def page(
  title: str,
  lead: str,
  contents: str,
  sections: Sequence[str],
  *,
  folder: pathlib.Path,
) -> str:
  """A page of the template `report.html`.

  Args:
    title: Title of the window, in plain text.
    lead: Markdown of the head.
    contents: Markdown of the list of contents.
    sections: Markdown of each section.
    folder: Folder that links to figures start from.
  """
  renderer = MarkdownIt(
    'commonmark', {'html': False}, renderer_cls=_Page
  ).enable('table')

  def rendered(text: str) -> str:
    return renderer.render(text, {'folder': folder})

  template = importlib.resources.files('resnet_jax.paper') / 'report.html'
  return string.Template(template.read_text(encoding='utf-8')).substitute(
    title=html.escape(title),
    lead=rendered(lead),
    contents=rendered(contents),
    sections='\n'.join(
      f'<section>\n{rendered(text)}</section>' for text in sections
    ),
  )


def show(text: str, folder: pathlib.Path) -> None:
  """Prints Markdown on the terminal, with the paths of figures in `folder`."""
  text = re.sub(
    r'^!\[.*\]\((.*)\)$',
    lambda link: escape(f'Drawn: {folder / urllib.parse.unquote(link[1])}'),
    text,
    flags=re.MULTILINE,
  )
  console = Console()
  console.print(_Terminal(text), width=min(console.width, _COLUMNS))


def anchor(title: str) -> str:
  """The id of a heading, by GitHub's rule."""
  return re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-')


class _Page(RendererHTML):
  """Headings with anchors, figures inlined, and tables in a box that scrolls.

  Methods have the names of the tokens that they render.
  """

  def heading_open(self, tokens: Sequence[Token], i: int, *_: Any) -> str:
    title = _plain(tokens[i + 1])
    return f'<{tokens[i].tag} id="{anchor(title)}">'

  def image(
    self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
  ) -> str:
    source = urllib.parse.unquote(str(tokens[i].attrs['src']))
    # The page has the SVG, which follows its colors; the PNG is for Markdown,
    # whose viewers have themes of their own.
    file = (env['folder'] / source).with_suffix('.svg')
    data = base64.b64encode(file.read_bytes()).decode()
    alt = html.escape(_plain(tokens[i]))
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{alt}">'

  def table_open(self, tokens: Sequence[Token], i: int, *_: Any) -> str:
    # The region can be focused, so that the arrow keys scroll it. Its name is
    # the paragraph before, which is the caption.
    name = html.escape(_plain(tokens[i - 2]))
    return (
      f'<div class="scroll" role="region" tabindex="0" aria-label="{name}">'
      f'<table>\n'
    )

  def table_close(self, *_: Any) -> str:
    return '</table></div>\n'

  def th_open(
    self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
  ) -> str:
    tokens[i].attrSet('scope', 'col')
    return self.renderToken(tokens, i, options, env)

  def td_open(
    self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
  ) -> str:
    if tokens[i - 1].type == 'tr_open':  # the first cell names its row
      tokens[i].tag = tokens[i + 2].tag = 'th'
      tokens[i].attrSet('scope', 'row')
    return self.renderToken(tokens, i, options, env)


def _plain(token: Token) -> str:
  """The words of a paragraph or a heading, without marks."""
  return ''.join(child.content for child in token.children or ())


class _Table(TableElement):
  """A table whose columns are not narrower than their words, if that fits.

  A mean and its deviation are one word where there is room.
  """

  def __rich_console__(
    self, console: Console, options: ConsoleOptions
  ) -> RenderResult:
    for table in super().__rich_console__(console, options):
      assert isinstance(table, Table)
      columns = table.columns
      texts = [[str(c.header), *map(str, c.cells)] for c in columns]
      # Two spaces between columns, and one at each end.
      widths = _widths(texts, options.max_width - 2 * len(texts))
      for column, width in zip(columns, widths, strict=True):
        column.width = width
        for cell in (column.header, *column.cells):
          if isinstance(cell, Text):
            cell.plain = _broken(cell.plain, width)
      yield table


def _widths(columns: Sequence[Sequence[str]], space: int) -> list[int]:
  """Widths of columns of text; the sum is `space` at most, if words fit."""
  widths = [max(map(len, cells)) for cells in columns]
  for word in (r'\S+ ± \S+|\S+', r'(?:± )?\S+'):
    words = [max(map(len, re.findall(word, ' '.join(x)))) for x in columns]
    if sum(words) <= space:
      break

  def loss(i: int) -> tuple[int, int]:
    """How many cells break if a column is narrowed; its width decides ties."""
    return sum(len(cell) >= widths[i] for cell in columns[i]), -widths[i]

  while sum(widths) > space:
    loose = [i for i, word in enumerate(words) if widths[i] > word]
    if not loose:
      break
    widths[min(loose, key=loss)] -= 1
  return widths


def _broken(text: str, width: int) -> str:
  """`text` in lines of `width`, a deviation on the line of its mean.

  Each break takes the place of a space, so that no style is shifted.
  """
  unbroken = text.replace(' ± ', '\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}')
  if max(map(len, unbroken.split(' '))) > width:
    return text
  lines = textwrap.wrap(unbroken, width, break_on_hyphens=False)
  return '\n'.join(lines).replace('\N{NO-BREAK SPACE}', ' ')


class _Terminal(Markdown):
  elements: ClassVar[dict[str, Any]] = {
    **Markdown.elements,
    'table_open': _Table,
  }
