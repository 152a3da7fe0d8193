"""Markdown as a page, and on a terminal of 80 columns."""

import base64
import html.parser
import importlib.resources
import pathlib
import re
import subprocess
import sys

import pytest

from resnet_jax.paper import render
from resnet_jax.paper.markdown import command, escape, table
from tests import command as shell

HOSTILE = '<script>alert("a")</script> a|b *c* _d_ & [e](http://example.org)'
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'
WORDS = ['python', '-m', 'x', 'a  b', '<c', '`d`']
TABLE = table(
  ['network', 'paper', '>ours', 'ours is'],
  [
    ['ResNet-20', '8.75', '**9.07**', 'in full, 5 seeds'],
    [escape('a|b <i>'), '', '-', 'not run'],
  ],
)


@pytest.fixture
def section(tmp_path):
  """All that a section can hold, with what a name could do harm by."""
  for suffix in ('.svg', '.png'):
    (tmp_path / f'fig 1{suffix}').write_text(SVG)
  return '\n\n'.join(
    [
      f'## Table 6: {escape(HOSTILE)}',
      f'**{escape(HOSTILE)}**',
      f'**Errors** \\[{escape(HOSTILE)}\\]',
      TABLE,
      f'A note on `code_of <ours>` and <b>HTML</b>. {escape(HOSTILE)}',
      command(WORDS),
      f'![{escape("a <line>" + HOSTILE)}](fig%201.png)',
    ]
  )


@pytest.fixture
def page(section, tmp_path):
  anchor = render.anchor(f'Table 6: {HOSTILE}')
  return render.page(
    'Results & <more>',
    f'# Results\n\n{escape(HOSTILE)}\n\n- Versions: {escape(HOSTILE)}',
    f'- [Table 6](#{anchor})  \n  {escape(HOSTILE)}',
    [section],
    folder=tmp_path,
  )


class _Reader(html.parser.HTMLParser):
  """Asserts that tags are balanced and ids unique; collects the rest."""

  VOID = ('meta', 'br', 'img')

  def __init__(self, source):
    super().__init__()
    self.open, self.tags, self.ids, self.links = [], [], set(), []
    self.text = ''
    self.feed(source)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag not in self.VOID:
      self.open.append(tag)
    for name, value in attrs:
      if name == 'id':
        assert value not in self.ids
        self.ids.add(value)
      if name in ('src', 'href', 'srcset', 'xlink:href', 'data', 'action'):
        self.links.append(value)

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    if tag not in self.VOID:
      self.handle_endtag(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text += data


def test_a_page_is_whole_and_loads_nothing(page):
  reader = _Reader(page)
  names = [tag for tag, _ in reader.tags]
  assert 'script' not in names and 'i' not in names and 'b' not in names
  (contents, image) = reader.links
  assert contents[1:] in reader.ids and image.startswith('data:image/svg+xml')
  assert not re.search(r'@import|url\(', page)
  for needed in ('nav', 'main', 'h1', 'h2', 'thead', 'section'):
    assert needed in names
  assert {'lang': 'en'} in [attrs for tag, attrs in reader.tags]
  (policy,) = (
    attrs['content']
    for _, attrs in reader.tags
    if attrs.get('http-equiv') == 'Content-Security-Policy'
  )
  assert policy == (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
  )


def test_names_are_shown_and_never_run(page):
  # In lead, facts, contents, heading, label, caption and note.
  assert _Reader(page).text.count(HOSTILE) == 7
  assert '<script' not in page
  assert 'Results &amp; &lt;more&gt;</title>' in page
  assert '<code>code_of &lt;ours&gt;</code> and &lt;b&gt;HTML' in page


def test_commands_can_be_copied(page):
  pre = re.search('<pre>(.*?)</pre>', page, re.DOTALL)
  assert _Reader(pre[1]).text == "python -m x 'a  b' '<c' '`d`'\n"


def test_a_figure_is_inline_and_has_its_words(page):
  (image,) = (attrs for tag, attrs in _Reader(page).tags if tag == 'img')
  assert image['alt'] == f'a <line>{HOSTILE}'
  data = image['src'].partition('base64,')[2]
  assert base64.b64decode(data).decode() == SVG


def test_tables_are_named_and_so_are_their_rows(page):
  tags = _Reader(page).tags
  (box,) = (attrs for _, attrs in tags if attrs.get('class') == 'scroll')
  assert box['aria-label'] == f'Errors [{HOSTILE}]'
  scopes = [attrs['scope'] for tag, attrs in tags if tag == 'th']
  assert scopes == ['col'] * 4 + ['row'] * 2
  assert '<td style="text-align:right"><strong>9.07</strong></td>' in page


@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_contrast(theme):
  file = importlib.resources.files('resnet_jax.paper') / 'report.html'
  blocks = re.findall(r':root \{(.*?)\}', file.read_text(), re.DOTALL)
  block = blocks[['light', 'dark'].index(theme)]
  colors = dict(re.findall(r'--([a-z]+): (#[0-9a-f]{6})', block))
  for ground in ('ground', 'raised'):
    for ink in ('text', 'muted', 'link'):
      assert contrast(colors[ink], colors[ground]) >= 4.5


def contrast(a, b):
  light, dark = sorted((luminance(a), luminance(b)), reverse=True)
  return (light + 0.05) / (dark + 0.05)


def luminance(color):
  """Luminance of '#rrggbb' by WCAG 2."""
  channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  linear = [
    c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
    for c in channels
  ]
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def shown(text, capsys, monkeypatch):
  monkeypatch.setenv('COLUMNS', '80')
  render.show(text, pathlib.Path('a'))
  return capsys.readouterr().out


def test_a_terminal_shows_the_same(section, capsys, monkeypatch):
  out = shown(section, capsys, monkeypatch)
  lines = out.splitlines()
  assert max(map(len, lines)) <= 80
  assert '\x1b' not in out
  assert 'Drawn: a/fig 1.png' in out
  words = ' '.join(out.split())
  assert words.count(HOSTILE) == 4
  assert "python -m x 'a  b' '<c' '`d`'" in out
  header = next(line for line in lines if 'network' in line)
  row = next(line for line in lines if 'ResNet-20' in line)
  assert header.index('ours') + len('ours') == row.index('9.07') + 4


def test_words_of_a_wide_table_are_whole(capsys, monkeypatch):
  words = ['multiply-adds', 'ResNet-1202', 'convergence', '10.40-11.40']
  row = [f'{word} of many words more' for word in words]
  out = shown(table(words, [row]), capsys, monkeypatch)
  assert max(map(len, out.splitlines())) <= 80
  for word in words:
    assert out.count(word) == 2
  # Where words alone are wider than the terminal, they are cut.
  out = shown(table(['word' * 9] * 3, [['x'] * 3]), capsys, monkeypatch)
  assert max(map(len, out.splitlines())) <= 80


def test_a_mean_and_its_deviation_are_on_one_line(capsys, monkeypatch):
  ours = '**60.00 ± 8.49**'
  row = [
    'ResNet-20',
    '6.43 (6.61 ± 0.16)',
    ours,
    '500 of 64,000 steps, 2 seeds',
  ]
  columns = ['method', '>error: paper', '>ours', 'ours is']
  out = shown(
    table([*columns, *'abcde'], [row + ['x'] * 5]), capsys, monkeypatch
  )
  assert max(map(len, out.splitlines())) <= 80
  assert '(6.61 ± 0.16)' in out and '60.00 ± 8.49' in out
  # Where other columns want the room, a word is whole before a deviation is.
  wide = table([*columns, 'word' * 10], [[*row, 'x']])
  out = shown(wide, capsys, monkeypatch)
  assert 'word' * 10 in out and '60.00 ± 8.49' not in out


def test_markdown_needs_no_matplotlib_and_no_jax():
  code = (
    'import sys, resnet_jax.paper.render; '
    'assert not {"jax", "matplotlib"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], cwd=shell.ROOT, check=True)
