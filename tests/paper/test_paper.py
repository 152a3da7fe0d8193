"""The runner of the paper: targets, records, tables, and what it refuses."""

import json
import signal
import subprocess
import sys

import pytest

from resnet_jax import models
from resnet_jax.config.file import to_json
from resnet_jax.config.plan import create_model
from resnet_jax.paper import (
  __main__,
  degradation,
  jobs,
  published,
  records,
  runner,
  sections,
  targets,
  text,
)
from resnet_jax.paper.context import key_of
from resnet_jax.paper.document import MISSING, Table
from resnet_jax.paper.runs import Member, Scale, expand
from resnet_jax.paper.selection import select
from tests import command
from tests.data.streamed.pictures import write_folder

EVERY_RUN = [
  run
  for target in targets.TARGETS.values()
  for _, runs in targets.runs_of(target, Scale())
  for run in runs
]


def write_record(root, run, *, error, train_error=0.01, examples=None):
  """As a run leaves it, of errors that a test knows."""
  folder = root / run.name
  folder.mkdir(parents=True)
  steps = run.steps()
  examples = examples or {'train': 50_000, 'test': 10_000}
  split = list(examples)[-1]
  result = {'examples': 10_000, 'error': error, 'error_top5': error / 5}
  content = {
    'config': to_json(run.configuration()),
    'step': steps,
    'data_name': 'cifar10',
    'examples': examples,
    'num_classes': 1000 if split == 'validation' else 10,
    'results': {
      'running': {split: result},
      'recomputed': {split: dict(result)},
    },
    'seconds': {'train': 60.0},
    'environment': {
      'devices': 1,
      'device': 'cpu',
      'cpus': 2,
      'packages': {'jax': '0'},
      'commit': 'x',
    },
  }
  (folder / 'results.json').write_text(json.dumps(content))
  lines = [
    {'step': step, 'split': split, 'error': value}
    for step, scale in ((steps // 2, 2), (steps, 1))
    for split, value in (
      ('train', scale * train_error),
      ('test', scale * error),
    )
  ]
  text = '\n'.join(json.dumps(line) for line in lines)
  (folder / 'metrics.jsonl').write_text(text)
  return folder


def build(name, root, **scale):
  target = targets.find(name)
  return sections.build(target, root, Scale(**scale), root / 'figures')


def row_of(section, name):
  table = next(b for b in section.blocks if isinstance(b, Table))
  row = next(r for r in table.rows if r[0].text == name)
  return dict(zip(table.header, (cell.text for cell in row), strict=True))


@pytest.mark.parametrize('run', EVERY_RUN, ids=lambda run: run.name)
def test_every_run_is_of_a_config_that_works(run):
  config = run.configuration()
  assert config.seed == run.seed
  create_model(config, num_classes=10)
  assert run.departures == ''


@pytest.mark.parametrize(
  ('target', 'numbers'),
  [
    ('table2', published.TABLE2),
    ('table3', published.TABLE3),
    ('table4', published.TABLE4),
    ('table6', published.TABLE6),
    ('fig1', published.FIGURE1),
    ('fig4', published.FIGURE4),
  ],
)
def test_every_network_of_the_paper_has_runs(target, numbers):
  """Rows of others' methods have other keys than names of our networks."""
  selected = [
    select(command.ROOT / 'nowhere', member, Scale())
    for member in targets.find(target).members
  ]
  known = {*models.available(), 'plain18', 'plain34'}
  wanted = {
    key
    for key in numbers
    if (key[0] if isinstance(key, tuple) else key) in known
  }
  assert {key_of(one) for one in selected} == wanted


def test_the_paper_runs_110_layers_five_times():
  runs = [run for run in EVERY_RUN if run.name.startswith('cifar_resnet110')]
  assert {run.seed for run in runs} == {0, 1, 2, 3, 4}


def test_what_is_shrunk_says_so():
  member = Member('cifar_resnet20')
  (whole,) = expand(member, Scale(steps=64_000))
  assert (whole.name, whole.departures) == ('cifar_resnet20-seed0', '')
  first, second = expand(member, Scale(steps=500, seeds=2, dataset='digits'))
  assert first.name == 'cifar_resnet20-500steps-digits-seed0'
  assert first.departures == ('500 of 64,000 steps; digits in place of cifar10')
  assert first.configuration().dataset.name == 'digits'
  assert first.steps() == second.steps() == 500
  assert second.seed == 1


def test_tables_come_from_records(tmp_path):
  for name, error in (('cifar_resnet20', 0.0875), ('cifar_resnet56', 0.07)):
    (run,) = expand(Member(name), Scale())
    write_record(tmp_path, run, error=error)
  section = build('table6', tmp_path)
  row = row_of(section, 'ResNet-20')
  assert (row['ours'], row['difference']) == ('8.75', '0.00')
  assert row['ours is'] == 'in full, 1 seed'
  row = row_of(section, 'ResNet-56')
  assert (row['ours'], row['difference']) == ('7.00', '+0.03')
  row = row_of(section, 'ResNet-32')
  assert (row['ours'], row['difference']) == (MISSING, MISSING)
  assert section.label.startswith('in full; 2 of 6 networks')
  assert 'run table6' in text.render(section)


def test_seeds_give_mean_and_deviation(tmp_path):
  """More seeds than the target declares count, too."""
  runs = expand(Member('cifar_resnet110'), Scale(seeds=3))
  for run, error in zip(runs, (0.064, 0.066, 0.068), strict=True):
    write_record(tmp_path, run, error=error)
  row = row_of(build('table6', tmp_path), 'ResNet-110')
  assert row['ours'] == '6.60 ± 0.20'
  # Against the paper's mean, 6.61.
  assert row['difference'] == '\N{MINUS SIGN}0.01'
  assert row['ours is'] == 'in full, 3 seeds'
  for run, error in zip(
    expand(Member('cifar_resnet20'), Scale(seeds=2)), (0.08, 0.09), strict=True
  ):
    write_record(tmp_path, run, error=error)
  row = row_of(build('table6', tmp_path), 'ResNet-20')
  assert row['ours'] == '8.50 ± 0.71'
  assert row['ours is'] == 'in full, 2 seeds'


def test_a_shrunk_run_is_labelled_wherever_it_is_shown(tmp_path):
  for steps in (100, 500):
    (run,) = expand(Member('cifar_resnet20'), Scale(steps=steps))
    write_record(tmp_path, run, error=steps / 1000)
  section = build('table6', tmp_path)
  row = row_of(section, 'ResNet-20')
  assert row['ours'] == '50.00', 'the longest stands for the network'
  assert row['ours is'] == '500 of 64,000 steps, 1 seed'
  assert 'shrunk: 500 of 64,000 steps' in section.label
  assert text.render(section).count('[shrunk') == 2
  row = row_of(build('table6', tmp_path, steps=100), 'ResNet-20')
  assert row['ours'] == '10.00'
  figure = build('fig6', tmp_path)
  assert (tmp_path / 'figures' / 'fig6.svg').exists()
  assert 'shrunk' in figure.label


def test_other_data_under_the_name_of_the_paper_s_are_found_out(tmp_path):
  (run,) = expand(Member('cifar_resnet20'), Scale())
  write_record(tmp_path, run, error=0.1, examples={'train': 100, 'test': 50})
  row = row_of(build('table6', tmp_path), 'ResNet-20')
  assert row['ours is'] == 'cifar10 (100 images), 1 seed'


def test_figures_show_where_curves_end(tmp_path):
  (run,) = expand(Member('cifar_plain20'), Scale())
  write_record(tmp_path, run, error=0.0965, train_error=0.02)
  section = build('fig1', tmp_path)
  table = next(b for b in section.blocks if isinstance(b, Table))
  plain20 = [cell.text for cell in table.rows[0]]
  assert plain20[:4] == ['plain-20', '9.65', '9.65', '0.00']
  assert plain20[5:7] == ['2.00', '+0.70']
  assert [cell.text for cell in table.rows[1]][2] == MISSING


@pytest.mark.parametrize('name', [t for t in targets.TARGETS if t != 'table1'])
def test_a_bare_clone_shows_every_target(tmp_path, name):
  section = build(name, tmp_path)
  rendered = text.render(section)
  if targets.find(name).members:
    assert '[not run]' in rendered
    assert f'python -m resnet_jax.paper run {name}' in rendered


@pytest.mark.long
def test_table_1_is_computed(tmp_path):
  layers, imagenet, cifar = build('table1', tmp_path).blocks
  assert layers.rows[0][0].text == 'conv1'
  params = {row[0].text: row[2].text for row in (*imagenet.rows, *cifar.rows)}
  assert params['resnet34 C'] == '22,716,840'
  assert params['vgg19'] == '143,667,240'
  assert params['cifar_resnet1202'] == '19,421,274'
  differences = [row[6].text for row in imagenet.rows]
  # VGG-16's 15.3 leaves fc out.
  assert set(differences) == {'0.0', MISSING, '+0.1', '+0.2'}


def test_damaged_records_are_named_and_left_out(tmp_path):
  runs = expand(Member('cifar_resnet20'), Scale(seeds=3))
  for run in runs:
    write_record(tmp_path, run, error=0.08)
  (tmp_path / runs[0].name / 'results.json').write_text('{"config": {')
  (tmp_path / runs[1].name / 'results.json').write_text('[]')
  with pytest.raises(records.DamagedError, match='cannot be read'):
    records.find(tmp_path, runs[0])
  with pytest.raises(records.DamagedError, match='no record'):
    records.find(tmp_path, runs[1])
  section = build('table6', tmp_path)
  assert row_of(section, 'ResNet-20')['ours is'] == 'in full, 1 seed'
  assert 'cannot be read' in text.render(section)


def test_a_folder_of_another_run_is_refused(tmp_path):
  one, other = expand(Member('cifar_resnet20'), Scale(seeds=2))
  folder = write_record(tmp_path, other, error=0.08)
  folder.rename(tmp_path / one.name)
  with pytest.raises(records.ForeignError, match=r'seed is 1, not 0.*--runs'):
    records.find(tmp_path, one)
  begun = tmp_path / other.name
  begun.mkdir()
  config = json.loads((tmp_path / one.name / 'results.json').read_text())
  config['config']['batch_size'] = 64
  (begun / 'config.json').write_text(json.dumps(config['config']))
  with pytest.raises(records.ForeignError, match='batch_size is 64, not 128'):
    records.find(tmp_path, other)


NONE = float('nan')
DAMAGE = [
  ('results.json', lambda c: c['results'].pop('running')),
  ('results.json', lambda c: c['results'].update(running={})),
  ('results.json', lambda c: c['results']['recomputed'].update(test=None)),
  ('results.json', lambda c: c['results']['running']['test'].pop('error')),
  (
    'results.json',
    lambda c: c['results']['running']['test'].update(error=NONE),
  ),
  ('results.json', lambda c: c.update(examples={})),
  ('results.json', lambda c: c.update(seconds={'train': None})),
  ('results.json', lambda c: c.update(environment={})),
  ('responses.json', lambda c: c.update(layers=[])),
  ('responses.json', lambda c: c.update(layers=[{'path': 'x'}])),
  ('responses.json', lambda c: c.update(definition={})),
  ('responses.json', lambda c: c.update(network='cifar_resnet56')),
  ('responses.json', lambda c: c.pop('images')),
]
RESPONSES = {
  'definition': {
    'split': 'train',
    'images': 9,
    'pooling': 'all',
    'statistics': 'running',
    'batch_size': 3,
  },
  'network': 'cifar_resnet20',
  'step': 64_000,
  'images': 9,
  'layers': [{'path': 'a', 'std': 1.0}, {'path': 'b', 'std': 2.0}],
}


@pytest.mark.parametrize(('name', 'damage'), DAMAGE)
def test_what_is_damaged_within_is_named(tmp_path, name, damage):
  (run,) = expand(Member('cifar_resnet20'), Scale())
  folder = write_record(tmp_path, run, error=0.08)
  (folder / 'responses.json').write_text(json.dumps(RESPONSES))
  assert row_of(build('fig7', tmp_path), 'ResNet-20')['mean'] == '1.500'
  content = json.loads((folder / name).read_text())
  damage(content)
  (folder / name).write_text(json.dumps(content))
  rendered = text.render(build('fig7', tmp_path))
  words = ' '.join(rendered.split())
  assert f'{name} ' in words and 'delete it' in words
  assert '1.500' not in words


@pytest.mark.parametrize(
  'content', [b'', b'\xff\xfe', b'{"step": 1}\n', b'[]\n', None]
)
def test_curves_that_are_gone_leave_the_table(tmp_path, content):
  (run,) = expand(Member('cifar_resnet20'), Scale())
  folder = write_record(tmp_path, run, error=0.08)
  (folder / 'metrics.jsonl').unlink()
  if content is None:
    (folder / 'metrics.jsonl').mkdir()
  else:
    (folder / 'metrics.jsonl').write_bytes(content)
  section = build('fig6', tmp_path)
  row = row_of(section, 'ResNet-20')
  assert list(row.values())[:3] == ['ResNet-20', '8.8', MISSING]


def test_curves_that_were_cut_short_are_not_the_end(tmp_path):
  (run,) = expand(Member('cifar_resnet20'), Scale())
  folder = write_record(tmp_path, run, error=0.08)
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  (folder / 'metrics.jsonl').write_text('\n'.join(lines[:2]))
  assert records.find(tmp_path, run).train_error is None


def test_trained_is_not_tested(tmp_path):
  """Figure 4 wants training alone, and Table 2 ten crops."""
  for member in targets.find('fig4').members:
    (run,) = expand(member, Scale())
    examples = {'train': 1_281_167, 'validation': 50_000}
    write_record(tmp_path, run, error=0.3, examples=examples)
  assert build('table2', tmp_path).label == 'not run'
  assert 'run table2' in text.render(build('table2', tmp_path))


def test_an_ensemble_is_of_its_members(tmp_path):
  target = targets.find('table5')
  files = set()
  for scale in (Scale(), Scale(seeds=1), Scale(depths=(34, 50), seeds=2)):
    members = targets.runs_of(target, scale)
    runs = [run for _, runs in members for run in runs]
    files.add(records.ensemble_file(tmp_path, 'table5', runs))
  assert len(files) == 3


def test_digits_of_ones_own_are_not_those_of_scikit_learn(tmp_path):
  file = tmp_path / 'digits.npz'
  file.write_bytes(b'')
  (run,) = expand(Member('cifar_resnet20'), Scale(dataset=str(file)))
  assert run.config == 'cifar_resnet20'
  assert run.configuration().dataset.npz == str(file)
  (run,) = expand(Member('cifar_resnet20'), Scale(dataset='digits'))
  assert run.departures == '500 of 64,000 steps; digits in place of cifar10'
  (run,) = expand(
    Member('cifar_resnet20'), Scale(dataset='digits', steps=64_000)
  )
  assert run.steps() == 64_000


FLAT = {20: [1.0, 1.2, 1.1], 56: [1.1, 1.0, 1.2]}
RISING = {20: [1.0, 1.2, 1.1], 56: [60.0, 50.0, 70.0]}
HALF = {20: [1.0, 1.2, 1.1], 56: [10.0, 11.0, 12.0]}


@pytest.mark.parametrize(
  ('plain', 'residual', 'words'),
  [
    (RISING, FLAT, 'degradation, and its cure'),
    (FLAT, FLAT, 'not reproduced'),
    (FLAT, RISING, 'not reproduced'),
    (RISING, RISING, 'no cure'),
    (RISING, HALF, 'lessen it'),
    ({20: RISING[56], 56: FLAT[56]}, FLAT, 'not reproduced'),
    ({20: [1.0], 56: [60.0]}, FLAT, 'Nothing can be said'),
    ({20: [1.0, 2.0]}, FLAT, 'Nothing can be said'),
    (RISING, {20: [1.0, 1.2], 32: [1.0, 1.2]}, 'Nothing can be said'),
    (RISING, {20: [1.0, 1.2, 1.1], 56: [1.0, 60.0, 2.0]}, 'cannot tell'),
  ],
)
def test_the_verdict_goes_by_the_numbers(plain, residual, words):
  assert words in degradation.verdict(plain, residual)


def test_the_verdict_gives_its_numbers():
  words = degradation.verdict(RISING, FLAT)
  # Means 1.1 and 60; standard error of the difference sqrt(100/3 + 0.01/3).
  assert 'from 1.10 to 60.00 %, up by 58.90 points' in words
  assert '11.55 for two standard errors' in words
  assert 'the residual net is 58.90 points below the plain one' in words


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['run', 'table7'], "did you mean 'table6'"),
    (['show', 'degredation'], "did you mean 'degradation'"),
    (['run', 'degradation', '--dataset=cifar10'], 'of the digits'),
    (['show', 'table1', '--steps=3'], 'nothing of it to narrow'),
    (['show', 'table6', '--runs={file}'], 'is not a folder'),
    (['run', 'table6', '--depths=18'], '20, 32, 44, 56, 110, 1202'),
    (['run', 'table6', '--dataset=no/such.npz'], 'is not there'),
    (['run', 'table2', '--dataset=digits'], 'too small for plain18'),
    (['responses', 'no/such/1'], 'no checkpoint'),
    (['responses', 'a/1', 'b/1', '--output=x'], 'for one checkpoint'),
    (['run', 'degradation', '--runs={file}'], 'cannot be written'),
    (['report', '--output={file}/x', '--runs={folder}'], 'cannot be written'),
  ],
)
def test_what_means_nothing_is_refused(tmp_path, capsys, words, message):
  file = tmp_path / 'file'
  file.write_text('')
  words = [word.format(file=file, folder=tmp_path) for word in words]
  assert __main__.run(words) == 1
  error = capsys.readouterr().err
  assert error.startswith('error: ') and message in error


@pytest.mark.parametrize(
  'words',
  [['run'], ['run', 'table6', '--seeds=0'], ['show', 'x', '--depths=a']],
)
def test_usage_is_explained(capsys, words):
  with pytest.raises(SystemExit):
    __main__.run(words)
  assert 'usage' in capsys.readouterr().err


SMALL = ('degradation', '--seeds=1', '--depths=20', '--steps=12')


def start(root, *words):
  return subprocess.Popen(
    [sys.executable, '-m', 'resnet_jax.paper', 'run', *words, f'--runs={root}'],
    cwd=command.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finished(process):
  out, _ = process.communicate(timeout=400)
  return process.returncode, out


def essence(root):
  """What of the records is to be the same however they came about."""
  found = {}
  for file in sorted(root.glob('*/results.json')):
    content = json.loads(file.read_text())
    for key in ('seconds', 'environment'):
      del content[key]
    lines = (file.parent / 'metrics.jsonl').read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    for line in metrics:
      for key in ('images_per_second', 'input_wait', 'seconds_left'):
        line.pop(key, None)
    found[file.parent.name] = content, metrics
  return found


@pytest.mark.slow
def test_a_target_that_was_cut_ends_with_the_same_records(tmp_path):
  code, out = finished(start(tmp_path / 'whole', *SMALL))
  assert code == 0, out
  assert 'plain-20' in out and 'shrunk: 12 of 300 steps' in out
  cut = start(tmp_path / 'cut', *SMALL)
  metrics = tmp_path / 'cut' / 'digits_plain20-12steps-seed0' / 'metrics.jsonl'
  while cut.poll() is None:
    if metrics.exists() and metrics.read_text():
      break
  cut.send_signal(signal.SIGINT)
  code, out = finished(cut)
  assert code == 128 + signal.SIGINT, out
  assert 'goes on from here' in out
  code, out = finished(start(tmp_path / 'cut', *SMALL))
  assert code == 0, out
  whole = essence(tmp_path / 'whole')
  assert len(whole) == 2
  assert essence(tmp_path / 'cut') == whole
  # What is done is not done again.
  before = metrics.stat().st_mtime_ns
  code, out = finished(start(tmp_path / 'cut', *SMALL))
  assert code == 0 and '2 are done' in out
  assert metrics.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_failed_member_leaves_the_others_unharmed(tmp_path):
  """One folder is another run's; of the other, the record is damaged."""
  code, out = finished(start(tmp_path, *SMALL))
  assert code == 0, out
  good = essence(tmp_path)
  file = tmp_path / 'digits_plain20-12steps-seed0' / 'results.json'
  content = json.loads(file.read_text())
  content['config']['seed'] = 7
  file.write_text(json.dumps(content))
  damaged = tmp_path / 'digits_resnet20-12steps-seed0' / 'results.json'
  damaged.write_text('{')
  code, out = finished(start(tmp_path, *SMALL))
  assert code == 1
  assert 'digits_plain20-12steps-seed0' in out and 'seed is 7, not 0' in out
  assert 'results.json.damaged' in out
  name = damaged.parent.name
  assert essence(tmp_path)[name][0] == good[name][0]


@pytest.mark.slow
def test_pictures_are_tested_in_all_views_and_together(tmp_path):
  """What Tables 2 to 5 need, on a small folder: mean image to ensemble."""
  pytest.importorskip('tensorflow')
  folder = write_folder(tmp_path / 'pictures')
  fields = {
    'model.name': 'cifar_resnet8',
    'dataset.crop_size': 16,
    'augment.shorter_side': (17, 24),
    'test.shorter_side': 19,
    'batch_size': 8,
    'model.bn_group_size': 4,
    'bn_recompute_batches': 2,
    'run.eval_batch_size': 6,
  }
  member = Member('imagenet_resnet18', 2, tuple(fields.items()))
  target = targets.Target(
    'table5', 'small', (member,), views='ten_crop', ensemble=True
  )
  scale = Scale(dataset=str(folder), steps=4)
  ((_, runs),) = targets.runs_of(target, scale)
  options = jobs.Options(tmp_path / 'runs')
  assert runner.run_target(target, runs, options) == []
  assert (folder / 'mean-224.npz').exists()
  for run in runs:
    record = records.find(options.root, run)
    assert record.evaluation('ten_crop')['examples'] == 10
    assert 'pictures (18 images)' in record.departures
  together = records.ensemble(options.root, 'table5', runs)
  assert together['examples'] == 10
  rows = sections.build(target, options.root, scale, tmp_path).blocks[0].rows
  assert rows[-1][2].text == f'{100 * together["error_top5"]:.2f}'
