"""The paper's numbers, and a report of them as a page, Markdown and text."""

import html.parser
import pathlib
import re
import shlex

import pytest

from resnet_jax import models
from resnet_jax.errors import UserError
from resnet_jax.paper import html as page
from resnet_jax.paper import markdown, published, text
from resnet_jax.paper.document import (
  MISSING,
  Cell,
  Command,
  Document,
  Figure,
  Paragraph,
  Section,
  Table,
  difference,
  mean_std,
  number,
)
from resnet_jax.paper.stylesheet import STYLESHEET

TABLES = {
  'Table 1': published.TABLE1,
  'Table 2': published.TABLE2,
  'Table 3': published.TABLE3,
  'Table 4': published.TABLE4,
  'Table 5': published.TABLE5,
  'Table 6': published.TABLE6,
  'Fig. 1': published.FIGURE1,
  'Fig. 4': published.FIGURE4,
  'Fig. 6': published.FIGURE6,
  "authors' repository": published.AUTHORS_ONE_CROP,
  'public reproductions': published.REPRODUCTIONS,
}
ROWS = (5, 4, 10, 10, 6, 12, 2, 4, 11, 3, 15)

SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" width="90pt" viewBox="0 0 90 60">
<metadata>of http://example.org</metadata>
<style>#NAME path {stroke: currentColor}</style>
<g id="NAME"><path d="M 0 0 L 90 60"/></g>
</svg>
"""
HOSTILE = '<script>alert("a")</script> a|b *c* _d_ & [e](http://example.org)'
LABEL = 'shrunk: 500 of 64,000 steps, <script>digits</script>'


class TestPublished:
  def test_against_the_paper(self):
    assert published.TABLE1['resnet152'].flops == 11.3
    assert published.VGG['VGG-19'].flops == 19.6
    assert published.TABLE2['plain18'].top1 == 27.94
    assert published.TABLE2['resnet34', 'A'].top1 == 25.03
    assert published.TABLE3['resnet34', 'C'].top5 == 7.40
    assert published.TABLE3['resnet152', 'B'].top1 == 21.43
    assert published.TABLE3['GoogLeNet'].top1 is None
    assert published.TABLE4['resnet50', 'B'].top5 == 5.25
    assert published.TABLE4["VGG (ILSVRC'14)"].split == 'test'
    assert published.TABLE5["ResNet (ILSVRC'15)"].top5 == 3.57
    assert published.TABLE6['cifar_resnet20'].error == 8.75
    assert published.TABLE6['Maxout'].error == 9.38
    deep = published.TABLE6['cifar_resnet110']
    assert (deep.error, deep.mean, deep.std, deep.runs) == (6.43, 6.61, 0.16, 5)
    assert published.AUTHORS_ONE_CROP['resnet101', 'B'].top1 == 23.6

  def test_against_the_figures(self):
    assert published.FIGURE6['cifar_plain56'].test.value == 13.25
    assert published.FIGURE1['cifar_plain56'].training.value == 5.8
    assert str(published.FIGURE6['cifar_plain110'].test) == '> 60'
    assert str(published.FIGURE6['cifar_resnet1202'].training) == '< 0.1'
    assert published.FIGURE4['resnet34', 'A'].test.value == 28.25

  def test_bands(self):
    band = published.REPRODUCTIONS['cifar_resnet56']
    assert (band.low, band.high) == (6.6, 7.4)
    assert published.REPRODUCTIONS['resnet18', 'B'].low == 29.7

  def test_rows_are_complete(self):
    assert tuple(map(len, TABLES.values())) == ROWS
    for source, rows in TABLES.items():
      for row in rows.values():
        assert row.source.startswith(source)

  def test_digitised_values_say_so_and_how_good_they_are(self):
    for name in ('Fig. 1', 'Fig. 4', 'Fig. 6'):
      for row in TABLES[name].values():
        assert row.source.endswith(('digitised', 'caption'))
        assert row.uncertainty

  def test_keys_are_networks_of_ours(self):
    for rows in TABLES.values():
      for key, row in rows.items():
        name, *shortcut = (key,) if isinstance(key, str) else key
        if name == getattr(row, 'method', None):
          continue  # of others
        assert name in models.available()
        assert key in (name, published.key(name, *shortcut))

  def test_key(self):
    assert published.key('resnet34') == ('resnet34', 'A')
    assert published.key('resnet34', 'C') == ('resnet34', 'C')
    assert published.key('resnet50') == ('resnet50', 'B')
    assert published.key('plain34') == 'plain34'
    assert published.key('vgg16') == 'vgg16'
    assert published.key('cifar_resnet20', 'A') == 'cifar_resnet20'
    assert published.key('cifar_resnet20', 'B') not in published.TABLE6

  def test_architectures_are_the_modules(self):
    for name, row in published.TABLE1.items():
      model = models.create(name)
      assert model.stage_sizes == row.blocks
      assert model.bottleneck == (len(row.convolutions[0]) == 3)
      assert tuple(block[0][1] for block in row.convolutions) == model.filters
      assert row.layers == 2 + sum(row.blocks) * len(row.convolutions[0])


class TestNumbers:
  @pytest.mark.parametrize(
    ('ours', 'paper', 'expected'),
    [
      (9.07, 8.75, '+0.32'),
      (8.65, 8.75, '\N{MINUS SIGN}0.10'),
      (8.75, 8.75, '0.00'),
      (8.754, 8.75, '0.00'),
      (8.756, 8.75, '+0.01'),
      (None, 8.75, MISSING),
      (8.75, None, MISSING),
    ],
  )
  def test_difference(self, ours, paper, expected):
    assert difference(ours, paper) == expected

  def test_mean_std(self):
    # By hand: mean 6.61, squares 0.0256 * 2 over n - 1 = 2.
    assert mean_std([6.45, 6.61, 6.77]) == '6.61 ± 0.16'
    assert mean_std([6.61]) == '6.61'
    assert mean_std([]) == MISSING

  def test_number(self):
    assert number(7.4) == '7.40'
    assert number(11.282, 1) == '11.3'
    assert number(None) == MISSING


class TestDocument:
  def test_a_row_too_short_is_named(self):
    with pytest.raises(ValueError, match="'Errors': the row of 'ResNet-20'"):
      Table('Errors', ['network', 'paper'], [[Cell('ResNet-20')]])

  def test_a_kind_that_is_not_there(self):
    with pytest.raises(ValueError, match="kind 'good'"):
      Cell('8.75', 'good')

  def test_a_section_has_a_label_and_a_key_of_its_own(self):
    with pytest.raises(ValueError, match='table6 has no label'):
      Section('table6', 'Table 6', (), ' ')
    with pytest.raises(ValueError, match='the key'):
      Section('table 6', 'Table 6', (), 'not run')
    section = Section('table6', 'Table 6', (), 'not run')
    with pytest.raises(ValueError, match='two sections'):
      Document('Results', '', (section, section), ())


@pytest.fixture
def report(tmp_path) -> Document:
  """All that a document can hold, with what a text could do harm by."""
  numbers = Table(
    f'Errors. {HOSTILE}',
    ('network', 'paper', 'ours', 'difference'),
    (
      (
        Cell('ResNet-20'),
        Cell('8.75', 'paper'),
        Cell('9.07', 'ours'),
        Cell('+0.32', 'difference'),
      ),
      (Cell('a|b\n`c|d`'), Cell('1'), *[Cell(MISSING, 'missing')] * 2),
    ),
    ('It is not run:', Command('python -m x "a  b" <c && echo `d`')),
  )
  wide = Table(
    'Blocks',
    [f'{i}-layer net' for i in range(12)],
    [[Cell(f'[3x3, 64]\nx{i}') for i in range(12)]],
  )
  figures = [
    Figure(tmp_path / stem, 'a "line"', f'Fig. {HOSTILE}', 'draw it')
    for stem in ('fig 1', 'fig.2')
  ]
  for figure in figures:
    name = figure.stem.name.replace(' ', '-')
    svg = SVG.replace('NAME', name)
    figure.stem.with_name(figure.stem.name + '.svg').write_text(svg)
    figure.stem.with_name(figure.stem.name + '.png').write_bytes(b'a picture')
  sections = (
    Section('table6', f'Table 6 {HOSTILE}', (numbers, wide), LABEL),
    Section(
      'figure1',
      'Fig. 1',
      (Paragraph(f'{HOSTILE} `code_of <ours>`'), *figures),
      'not run',
    ),
  )
  facts = (('versions', f'JAX 0.10 {HOSTILE}'), ('hardware', '2 cores'))
  return Document('Results', HOSTILE, sections, facts)


class _Reader(html.parser.HTMLParser):
  """Asserts that tags are balanced and ids unique; collects the rest."""

  VOID = ('meta', 'br')

  def __init__(self, source: str) -> None:
    super().__init__()
    self.open, self.tags, self.ids, self.links = [], [], set(), []
    self.text = ''
    self.feed(source)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.handle_startendtag(tag, attrs)
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    for name, value in attrs:
      if name == 'id':
        assert value not in self.ids
        self.ids.add(value)
      if name in ('src', 'href', 'srcset', 'xlink:href', 'data', 'action'):
        self.links.append(value)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text += data


class TestPage:
  def test_is_whole_and_loads_nothing(self, report):
    source = page.render(report)
    reader = _Reader(source)
    names = [tag for tag, _ in reader.tags]
    assert 'script' not in names
    assert reader.links == ['#table6', '#figure1']
    assert reader.ids >= {'table6', 'figure1', 'fig-1', 'fig.2'}
    assert not re.search(r'@import|url\((?!#)', source)
    for needed in ('nav', 'main', 'h1', 'caption', 'thead', 'figcaption'):
      assert needed in names
    assert {'lang': 'en'} in [attrs for tag, attrs in reader.tags]
    assert all('scope' in attrs for tag, attrs in reader.tags if tag == 'th')

  def test_texts_are_literal(self, report):
    source = page.render(report)
    # In lead, facts, titles, captions and a paragraph.
    assert _Reader(source).text.count(HOSTILE) >= 6
    assert '<script' not in source
    assert '<code>code_of &lt;ours&gt;</code>' in source
    assert 'a|b<br><code>c|d</code>' in source

  def test_commands_can_be_copied(self, report):
    pre = re.search('<pre>(.*?)</pre>', page.render(report), re.DOTALL)
    command = 'python -m x "a  b" <c && echo `d`'
    assert _Reader(pre[1]).text == command

  def test_labels_are_with_contents_headings_tables_and_figures(self, report):
    shown = _Reader(page.render(report)).text
    assert shown.count(LABEL) == 2 + 2
    assert shown.count('not run') - shown.count('is not run') == 2 + 2

  def test_figures_have_their_words(self, report):
    svgs = [a for t, a in _Reader(page.render(report)).tags if t == 'svg']
    assert len(svgs) == 2
    for attrs in svgs:
      assert attrs['role'] == 'img'
      assert attrs['aria-label'] == 'a "line"'

  def test_numbers_are_right_aligned_beside_words(self, report):
    source = page.render(report)
    assert '<td class="number short ours">9.07</td>' in source
    assert '<td class="short">1</td>' in source

  def test_two_figures_that_share_an_id(self, report, tmp_path):
    (tmp_path / 'fig.2.svg').write_text((tmp_path / 'fig 1.svg').read_text())
    with pytest.raises(ValueError, match="id 'fig-1' twice"):
      page.render(report)

  def test_half_a_figure(self, report, tmp_path):
    (tmp_path / 'fig.2.svg').write_text(SVG[: len(SVG) // 2])
    with pytest.raises(UserError, match=r'fig\.2\.svg .* draws it: draw it'):
      page.render(report)

  @pytest.mark.parametrize('theme', ['light', 'dark'])
  def test_contrast(self, theme):
    blocks = re.findall(r':root \{(.*?)\}', STYLESHEET, re.DOTALL)
    block = blocks[['light', 'dark'].index(theme)]
    colors = dict(re.findall(r'--([a-z]+): (#[0-9a-f]{6})', block))
    for ground in ('ground', 'raised'):
      for ink in ('text', 'muted', 'link'):
        assert _contrast(colors[ink], colors[ground]) >= 4.5


def _contrast(a: str, b: str) -> float:
  light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
  return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
  """As WCAG 2 defines it, of '#rrggbb'."""
  channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  linear = [
    c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
    for c in channels
  ]
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestMarkdown:
  def test_columns_are_equal_and_aligned(self, report, tmp_path):
    source = markdown.render(report, tmp_path)
    tables = re.findall(r'(?:^\|.*\n)+', source, re.MULTILINE)
    assert len(tables) == 2
    for table, columns in zip(tables, (4, 12), strict=True):
      lines = table.splitlines()
      assert len({len(line) for line in lines}) == 1
      for line in lines:
        assert len(re.findall(r'(?<!\\)\|', line)) == columns + 1
    assert '| a\\|b<br>`c\\|d` |' in source
    assert re.search(r'-: \| -+: \|$', tables[0], re.MULTILINE)

  def test_texts_are_literal(self, report, tmp_path):
    source = markdown.render(report, tmp_path)
    literal = (
      r'\<script\>alert("a")\</script\> a|b \*c\* \_d\_ \& '
      r'\[e\](http://example.org)'
    )
    assert source.count(literal) >= 6
    assert '`code_of <ours>`' in source
    fenced = '```bash\npython -m x "a  b" <c && echo `d`\n```'
    assert fenced in source

  def test_a_line_is_no_list_or_heading(self, report, tmp_path):
    for start in ('# 5', '1. 5', '- 5', '+ 5'):
      section = Section('a', 'A', (Paragraph(start),), 'not run')
      source = markdown.render(Document('R', '', (section,), ()), tmp_path)
      assert f'\n{start}' not in source
      assert f'\n{start}' in source.replace('\\', '')

  def test_labels_are_with_headings_tables_and_figures(self, report, tmp_path):
    source = markdown.render(report, tmp_path).replace('\\', '')
    assert source.count(f'**{LABEL}**') == 1 + 2
    assert source.count('**not run**') == 1 + 2

  def test_figures_are_relative_to_the_file(self, report, tmp_path):
    source = markdown.render(report, tmp_path / 'docs')
    assert '[![a "line"](../fig%201.png)](../fig%201.svg)' in source


class TestText:
  def test_fits_a_terminal(self, report):
    for section in report.sections:
      shown = text.render(section)
      assert max(map(len, shown.splitlines())) <= text.COLUMNS
      assert '\x1b' not in shown

  def test_numbers_are_aligned(self, report):
    lines = text.render(report.sections[0]).splitlines()
    header = next(line for line in lines if line.startswith('network'))
    row = next(line for line in lines if line.startswith('ResNet-20'))
    assert header.index('ours') + len('ours') == row.index('9.07') + 4

  def test_labels_are_with_headings_tables_and_figures(self, report):
    table, figure = map(text.render, report.sections)
    assert table.count(f'[{LABEL}]') == 1 + 2
    assert figure.count('[not run]') == 1 + 2

  def test_figures_are_their_paths(self, report, tmp_path):
    assert str(tmp_path / 'fig.2.png') in text.render(report.sections[1])

  def test_a_long_command_stays_the_same_command(self):
    word = "'--config.augment.shorter_side=(256, 480)'"
    command = 'python -m resnet_jax.main ' + ' '.join([word] * 9)
    section = Section('a', 'A', (Command(command),), 'not run')
    shown = text.render(section).split('\n\n', 1)[1]
    assert max(map(len, shown.splitlines())) <= text.COLUMNS
    assert len(shown.splitlines()) > 3
    assert shlex.split(shown.replace('\\\n', '')) == shlex.split(command)

  @pytest.mark.parametrize(
    'line', ['# ' + 'word ' * 30, "echo 'a " + 'b ' * 60]
  )
  def test_what_cannot_be_broken_is_not(self, line):
    section = Section('a', 'A', (Command(line),), 'not run')
    assert line.strip() in text.render(section)

  def test_words_are_whole_where_there_is_room(self):
    row = [Cell('multiply-adds, ours'), *[Cell('a long cell ' * 3)] * 5]
    table = Table('T', ['n'] * 6, [row])
    shown = text.render(Section('a', 'A', (table,), 'counted'))
    assert 'multiply-adds,' in shown


def _render_all(report: Document, folder: pathlib.Path) -> list[str]:
  return [
    page.render(report),
    markdown.render(report, folder),
    *map(text.render, report.sections),
  ]


def test_the_same_document_gives_the_same_bytes(report, tmp_path):
  assert _render_all(report, tmp_path) == _render_all(report, tmp_path)


@pytest.mark.parametrize('suffix', ['.svg', '.png'])
def test_a_figure_that_is_gone(report, tmp_path, suffix):
  (tmp_path / f'fig 1{suffix}').unlink()
  renderers = [
    lambda: markdown.render(report, tmp_path),
    lambda: text.render(report.sections[1]),
  ]
  if suffix == '.svg':
    renderers.append(lambda: page.render(report))
  for render in renderers:
    with pytest.raises(UserError) as caught:
      render()
    assert str(tmp_path / f'fig 1{suffix}') in str(caught.value)
    assert 'draw it' in str(caught.value)
