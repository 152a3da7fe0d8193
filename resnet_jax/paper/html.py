"""A document as one HTML page that loads nothing and runs no script.

  pathlib.Path('results.html').write_text(html.render(document))

Figures are inlined as SVG, so that their text and colors follow the page's.
"""

import re
import xml.etree.ElementTree
from collections.abc import Sequence
from html import escape

from resnet_jax.errors import UserError
from resnet_jax.paper.document import (
  Block,
  Cell,
  Command,
  Document,
  Figure,
  Kind,
  Paragraph,
  Section,
  Table,
  numeric_columns,
  split_code,
)
from resnet_jax.paper.stylesheet import STYLESHEET

# Nothing can be fetched or run, even if a text or a figure should ask for it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

# Characters in a line of a cell that is not broken further.
_SHORT = 16


def render(document: Document) -> str:
  """The page, as text.

  Raises:
    UserError: the file of a figure is missing or damaged.
  """
  sections = '\n'.join(_section(section) for section in document.sections)
  page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="color-scheme" content="light dark">
<title>{escape(document.title)}</title>
<style>
{STYLESHEET}</style>
</head>
<body>
<header>
<h1>{_inline(document.title)}</h1>
<p class="lead">{_inline(document.lead)}</p>
{_facts(document.facts)}
</header>
{_contents(document.sections)}
<main>
{sections}
</main>
</body>
</html>
"""
  _check_ids(page)
  return page


def _facts(facts: Sequence[tuple[str, str]]) -> str:
  items = '\n'.join(
    f'<div><dt>{_inline(name)}</dt><dd>{_inline(value)}</dd></div>'
    for name, value in facts
  )
  return f'<dl>\n{items}\n</dl>' if items else ''


def _contents(sections: Sequence[Section]) -> str:
  items = '\n'.join(
    f'<li><a href="#{section.key}">{_inline(section.title)}</a> '
    f'<span class="state">{_inline(section.label)}</span></li>'
    for section in sections
  )
  return (
    '<nav aria-labelledby="contents-heading">\n'
    f'<h2 id="contents-heading">Contents</h2>\n<ol>\n{items}\n</ol>\n</nav>'
  )


def _section(section: Section) -> str:
  blocks = '\n'.join(_block(block, section.label) for block in section.blocks)
  return (
    f'<section id="{section.key}" aria-labelledby="{section.key}-heading">\n'
    f'<h2 id="{section.key}-heading">{_inline(section.title)}</h2>\n'
    f'<p class="label">{_inline(section.label)}</p>\n{blocks}\n</section>'
  )


def _block(block: Block, label: str) -> str:
  match block:
    case Paragraph(text):
      return f'<p>{_inline(text)}</p>'
    case Command():
      return _command(block)
    case Table():
      return _table(block, label)
    case Figure():
      return _figure(block, label)


def _command(command: Command) -> str:
  # A browser would break a line between the two hyphens of an option.
  words = re.sub(
    r'\S+',
    lambda word: f'<span>{escape(word[0], quote=False)}</span>',
    command.text.strip(),
  )
  return f'<pre><code>{words}</code></pre>'


def _table(table: Table, label: str) -> str:
  numeric = numeric_columns(table)
  header = ''.join(
    f'<th scope="col"{_classes(name, right)}>{_lines(name)}</th>'
    for name, right in zip(table.header, numeric, strict=True)
  )
  rows = '\n'.join(
    f'<tr>{"".join(map(_cell, row, numeric, range(len(row))))}</tr>'
    for row in table.rows
  )
  notes = '\n'.join(
    _command(note)
    if isinstance(note, Command)
    else f'<p class="note">{_inline(note)}</p>'
    for note in table.notes
  )
  # The region can be focused, so that the arrow keys scroll it.
  return (
    f'<div class="scroll" role="region" tabindex="0" '
    f'aria-label="{escape(_plain(table.caption))}">\n<table>\n'
    f'<caption><span>{_caption(table.caption, label)}</span></caption>\n'
    f'<thead>\n<tr>{header}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>\n'
    f'</table>\n</div>\n{notes}'
  )


def _cell(cell: Cell, right: bool, index: int) -> str:
  classes = _classes(cell.text, right, cell.kind)
  tag, scope = ('th', ' scope="row"') if index == 0 else ('td', '')
  return f'<{tag}{scope}{classes}>{_lines(cell.text)}</{tag}>'


def _classes(text: str, right: bool, kind: Kind = 'text') -> str:
  # The name of a network is not broken at its hyphen.
  short = max(map(len, text.split('\n'))) <= _SHORT
  classes = [
    *(['number'] if right else []),
    *(['short'] if short else []),
    *([kind] if kind not in ('text', 'number') else []),
  ]
  return f' class="{" ".join(classes)}"' if classes else ''


def _figure(figure: Figure, label: str) -> str:
  return (
    f'<figure>\n{_svg(figure)}\n'
    f'<figcaption>{_caption(figure.caption, label)}</figcaption>\n</figure>'
  )


def _caption(caption: str, label: str) -> str:
  return f'{_inline(caption)} <small>[{_inline(label)}]</small>'


def _svg(figure: Figure) -> str:
  file = figure.file('.svg')
  text = file.read_text(encoding='utf-8')
  try:
    damaged = not xml.etree.ElementTree.fromstring(text).tag.endswith('}svg')
  except xml.etree.ElementTree.ParseError:
    damaged = True
  if damaged:
    raise UserError(f'{file} is no whole SVG; this draws it: {figure.command}')
  element = text[text.index('<svg') :].rstrip()
  element = re.sub(r'<metadata>.*?</metadata>\s*', '', element, flags=re.DOTALL)
  alt = escape(_plain(figure.alt))
  return element.replace('<svg', f'<svg role="img" aria-label="{alt}"', 1)


def _check_ids(page: str) -> None:
  # A reference inside the second of two figures would find the first's part.
  ids = re.findall(r'<[^<>]*?\sid="([^"]*)"', page)
  seen = set()
  for name in ids:
    if name in seen:
      raise ValueError(f'the page has the id {name!r} twice')
    seen.add(name)


def _lines(text: str) -> str:
  return '<br>'.join(_inline(line) for line in text.split('\n'))


def _inline(text: str) -> str:
  return ''.join(
    f'<code>{escape(piece)}</code>' if code else escape(piece, quote=False)
    for piece, code in split_code(text)
  )


def _plain(text: str) -> str:
  return ''.join(piece for piece, _ in split_code(text))
