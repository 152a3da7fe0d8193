"""All tables and figures together, as a page and as Markdown."""

import base64
import re

import pytest

from resnet_jax.errors import UserError
from resnet_jax.paper import render, report
from resnet_jax.paper.runs import Member, Scale, expand
from resnet_jax.paper.targets import TARGETS
from tests.paper.recorded import row_of, shown, write_record

# Those that compute nothing of large networks.
SMALL = ('table2', 'table3', 'table4', 'table5', 'table6', 'fig1', 'fig6')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """The report of a net that is trained and another that is damaged."""
  folder = tmp_path_factory.mktemp('report')
  for name in ('cifar_resnet20', 'cifar_resnet56'):
    (run,) = expand(Member(name), Scale())
    record = write_record(folder / 'runs', run, error=0.0875)
  (record / 'results.json').write_text('{"<script>": ')
  write(folder)
  return folder


@pytest.fixture
def written(folder):
  """The page and the Markdown."""
  return [(folder / f'report.{kind}').read_text() for kind in ('html', 'md')]


def write(folder):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(report, 'TARGETS', {k: TARGETS[k] for k in SMALL})
    return report.write(folder / 'runs', folder)


def test_every_target_is_shown_with_its_label(written):
  page, text = written
  for name in SMALL:
    title = f': {TARGETS[name].title}'
    assert text.count(title) == page.count(title) == 2, 'contents and section'
  labels = re.findall(r'^\*\*(.*)\*\*$', text, re.MULTILINE)
  assert len(labels) == len(SMALL)
  assert labels[0] == 'not run'
  assert labels[SMALL.index('table6')] == 'in full; 1 of 6 networks'
  # Each caption, too, has its section's.
  for section in text.split('\n## ')[1:]:
    label = re.search(r'\n\*\*(.*)\*\*\n', section)[1]
    shown = re.findall(r'^\| --|^!\[', section, re.MULTILINE)
    assert section.count(f'\\[{label}\\]') == len(shown) > 0


def test_contents_lead_to_the_sections(written):
  page, text = written
  links = re.findall(r'^- \[.*\]\(#(.*)\)', text, re.MULTILINE)
  assert len(links) == len(SMALL)
  headings = re.findall(r'^## (.*)$', text, re.MULTILINE)
  assert [render.anchor(heading) for heading in headings] == links
  for link in links:
    assert f'<h2 id="{link}">' in page and f'<a href="#{link}">' in page


def test_figures_are_files_beside_the_markdown_and_in_the_page(folder, written):
  page, text = written
  assert '](figures/fig6.png)' in text
  figures = folder / 'figures'
  assert (figures / 'fig6.png').read_bytes().startswith(b'\x89PNG')
  data = base64.b64encode((figures / 'fig6.svg').read_bytes()).decode()
  assert f'<img src="data:image/svg+xml;base64,{data}"' in page


def test_facts_and_damage_are_named(written):
  page, text = written
  assert '- Records: 1 runs, 0.0 hours in all' in text
  assert '- Versions: jax 0' in text and '- Commits: x' in text
  assert 'cifar_resnet56-seed0/results.json cannot be read' in text
  assert 'delete it' in page


def test_the_same_records_give_the_same_report(folder, written):
  assert [file.read_text() for file in write(folder)] == written


def test_names_of_data_are_shown_and_never_run(tmp_path):
  file = tmp_path / '<script>a|b*c*.npz'
  file.write_text('')
  scale = Scale(dataset=str(file))
  (run,) = expand(Member('cifar_resnet20'), scale)
  write_record(tmp_path, run, error=0.1)
  text = shown('table6', tmp_path, dataset=str(file))
  assert '<script>' not in text.replace('\\<script\\>', '').split('```')[0]
  page = render.page('', '', '', [text], folder=tmp_path)
  assert '<script' not in page
  assert '&lt;script&gt;a|b*c*.npz in place of cifar10, 1 seed</td>' in page


@pytest.mark.parametrize(
  ('plain56', 'words'),
  [(0.6, 'degradation, and its cure'), (0.01, 'is not reproduced')],
)
def test_degradation_concludes_from_its_records(tmp_path, plain56, words):
  for member in TARGETS['degradation'].members:
    for run in expand(member, Scale()):
      error = 0.01 + run.seed / 1000
      if member.network == 'cifar_plain56':
        error = plain56 + run.seed / 1000
      write_record(tmp_path, run, error=2 * error, train_error=error)
  text = shown('degradation', tmp_path)
  # After the table, and before how to measure the responses.
  _, conclusion = text.split('while the weights change.')
  (paragraph,) = (p for p in conclusion.split('\n\n') if 'From 20' in p)
  assert words in paragraph
  assert row_of(text, 'plain-56')['training'] == (
    f'{100 * plain56 + 0.1:.2f} ± 0.10'
  )


def test_a_folder_of_figures_that_cannot_be_made(tmp_path):
  (run,) = expand(Member('cifar_resnet20'), Scale())
  write_record(tmp_path, run, error=0.1)
  (tmp_path / 'figures').write_text('')
  with pytest.raises(UserError, match=r'fig6\.png and \.svg cannot be written'):
    shown('fig6', tmp_path)


@pytest.mark.long
def test_the_whole_report_of_a_bare_clone(tmp_path):
  page, text = report.write(tmp_path / 'runs', tmp_path)
  content = text.read_text()
  for target in TARGETS.values():
    assert f': {target.title}](#' in content, 'the contents'
    assert f': {target.title}\n' in content, 'the heading'
  assert '- Records: none yet' in content
  assert page.read_text().count('<img ') == 1, 'Fig. 3 needs no run'
  assert row_of(content, 'ResNet-20')['error: paper'] == '8.75'
