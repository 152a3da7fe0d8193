"""Tables and figures from records: what is shown, and how it is labelled."""

import pytest

from resnet_jax.paper import targets
from resnet_jax.paper.runs import Member, Scale, expand
from tests.paper.recorded import MISSING, cells_of, row_of, shown, write_record


def test_tables_come_from_records(tmp_path):
  for name, error in (('cifar_resnet20', 0.0875), ('cifar_resnet56', 0.07)):
    (run,) = expand(Member(name), Scale())
    write_record(tmp_path, run, error=error)
  text = shown('table6', tmp_path)
  row = row_of(text, 'ResNet-20')
  assert (row['ours'], row['diff.']) == ('8.75', '0.00')
  assert row['ours is'] == 'in full, 1 seed'
  row = row_of(text, 'ResNet-56')
  assert (row['ours'], row['diff.']) == ('7.00', '+0.03')
  row = row_of(text, 'ResNet-32')
  assert (row['ours'], row['diff.']) == (MISSING, MISSING)
  assert 'in full; 2 of 6 networks' in text
  assert 'run table6' in text


def test_seeds_give_mean_and_deviation(tmp_path):
  """More seeds than the target declares count, too."""
  runs = expand(Member('cifar_resnet110'), Scale(seeds=3))
  for run, error in zip(runs, (0.064, 0.066, 0.068), strict=True):
    write_record(tmp_path, run, error=error)
  row = row_of(shown('table6', tmp_path), 'ResNet-110')
  assert row['ours'] == '6.60 ± 0.20'
  # Against the paper's mean, 6.61.
  assert row['diff.'] == '\N{MINUS SIGN}0.01'
  assert row['ours is'] == 'in full, 3 seeds'
  for run, error in zip(
    expand(Member('cifar_resnet20'), Scale(seeds=2)), (0.08, 0.09), strict=True
  ):
    write_record(tmp_path, run, error=error)
  row = row_of(shown('table6', tmp_path), 'ResNet-20')
  assert row['ours'] == '8.50 ± 0.71'
  assert row['ours is'] == 'in full, 2 seeds'


def test_a_shrunk_run_is_labelled_wherever_it_is_shown(tmp_path):
  for steps in (100, 500):
    (run,) = expand(Member('cifar_resnet20'), Scale(steps=steps))
    write_record(tmp_path, run, error=steps / 1000)
  text = shown('table6', tmp_path)
  row = row_of(text, 'ResNet-20')
  assert row['ours'] == '50.00', 'the longest stands for the network'
  assert row['ours is'] == '500 of 64,000 steps, 1 seed'
  # With the heading and with the table.
  assert text.count('shrunk: 500 of 64,000 steps') == 2
  row = row_of(shown('table6', tmp_path, steps=100), 'ResNet-20')
  assert row['ours'] == '10.00'
  text = shown('fig6', tmp_path)
  assert (tmp_path / 'figures' / 'fig6.svg').exists()
  assert text.count('shrunk: 500 of 64,000 steps') == 3


def test_other_data_under_the_name_of_the_paper_s_are_found_out(tmp_path):
  (run,) = expand(Member('cifar_resnet20'), Scale())
  write_record(tmp_path, run, error=0.1, examples={'train': 100, 'test': 50})
  row = row_of(shown('table6', tmp_path), 'ResNet-20')
  assert row['ours is'] == 'cifar10 (100 images), 1 seed'


def test_figures_show_where_curves_end(tmp_path):
  (run,) = expand(Member('cifar_plain20'), Scale())
  write_record(tmp_path, run, error=0.0965, train_error=0.02)
  text = shown('fig1', tmp_path)
  plain20 = cells_of(text, 'plain-20')
  assert plain20[:4] == ['plain-20', '9.65', '9.65', '0.00']
  assert {'2.00', '+0.70'} <= set(plain20)
  assert cells_of(text, 'plain-56')[2] == MISSING


def test_curves_of_a_held_out_split_are_called_so(tmp_path):
  (run,) = expand(Member('cifar_plain20'), Scale())
  folder = write_record(tmp_path, run, error=0.1)
  file = folder / 'metrics.jsonl'
  file.write_text(file.read_text().replace('"test"', '"validation"'))
  text = shown('fig1', tmp_path)
  assert 'bold: validation error' in text and 'bold: test' not in text


@pytest.mark.parametrize('name', [t for t in targets.TARGETS if t != 'table1'])
def test_a_bare_clone_shows_every_target(tmp_path, name):
  text = shown(name, tmp_path)
  if targets.find(name).members:
    assert 'not run' in text
    assert f'python -m resnet_jax.paper run {name}' in text


@pytest.mark.long
def test_table_1_is_computed(tmp_path):
  text = shown('table1', tmp_path)
  assert cells_of(text, 'conv1')
  for name, parameters in (
    ('resnet34 C', '22,716,840'),
    ('vgg19', '143,667,240'),
    ('cifar_resnet1202', '19,421,274'),
  ):
    assert row_of(text, name)['parameters'] == parameters
  differences = {
    row_of(text, name)['difference']
    for name in ('resnet34 C', 'resnet50 v1', 'vgg16', 'plain34')
  }
  # VGG-16's 15.3 leaves fc out.
  assert differences <= {'0.0', MISSING, '+0.1', '+0.2'}


def test_trained_is_not_tested(tmp_path):
  """Figure 4 wants training alone, and Table 2 ten crops."""
  for member in targets.find('fig4').members:
    (run,) = expand(member, Scale())
    examples = {'train': 1_281_167, 'validation': 50_000}
    write_record(tmp_path, run, error=0.3, examples=examples)
  text = shown('table2', tmp_path)
  assert '**not run**' in text, 'the label'
  assert 'run table2' in text
  assert row_of(shown('fig4', tmp_path), 'plain-18')['validation: paper']
