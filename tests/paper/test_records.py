"""Records: what is read of them, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from resnet_jax.config.file import to_json
from resnet_jax.errors import UserError
from resnet_jax.paper import records, targets
from resnet_jax.paper.results import DamagedError
from resnet_jax.paper.runs import Member, Scale, expand
from resnet_jax.runs import checkpoint, meta
from tests.paper.recorded import MISSING, cells_of, row_of, shown, write_record

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
  ('results.json', lambda c: c.update(config=[])),
  ('responses.json', lambda c: c.update(layers=[])),
  ('responses.json', lambda c: c.update(layers=[{'path': 'x'}])),
  ('responses.json', lambda c: c.update(definition={})),
  ('responses.json', lambda c: c.update(network='cifar_resnet56')),
  ('responses.json', lambda c: c.pop('images')),
]


@pytest.fixture
def run():
  (run,) = expand(Member('cifar_resnet20'), Scale())
  return run


def test_what_a_record_says(tmp_path, run):
  folder = write_record(tmp_path, run, error=0.08, train_error=0.02)
  content = json.loads((folder / 'results.json').read_text())
  content['results']['running']['test']['error'] = 0.09
  content['seconds'] = {'train': 60.0, 'eval': 5.0, 'input': 10.0}
  (folder / 'results.json').write_text(json.dumps(content))
  record = records.find(tmp_path, run)
  assert (record.error, record.error_in_loop) == (8.0, 9.0)
  assert record.train_error == 2.0
  assert record.seconds == 65.0, 'the wait for input is within training'
  assert record.curves['test'] == [(32_000, 16.0), (64_000, 8.0)]
  assert record.departures == ''
  assert record.evaluation('ten_crop') is None
  assert record.layer_responses() is None


def test_damaged_records_are_named_and_left_out(tmp_path):
  runs = expand(Member('cifar_resnet20'), Scale(seeds=3))
  for run in runs:
    write_record(tmp_path, run, error=0.08)
  (tmp_path / runs[0].name / 'results.json').write_text('{"config": {')
  (tmp_path / runs[1].name / 'results.json').write_text('[]')
  with pytest.raises(DamagedError, match='cannot be read'):
    records.find(tmp_path, runs[0])
  with pytest.raises(DamagedError, match='no record'):
    records.find(tmp_path, runs[1])
  text = shown('table6', tmp_path)
  assert row_of(text, 'ResNet-20')['ours is'] == 'in full, 1 seed'
  assert 'cannot be read' in text


@pytest.mark.parametrize(('name', 'damage'), DAMAGE)
def test_what_is_damaged_within_is_named(tmp_path, run, name, damage):
  folder = write_record(tmp_path, run, error=0.08)
  (folder / 'responses.json').write_text(json.dumps(RESPONSES))
  assert records.find(tmp_path, run).layer_responses().stds == [1.0, 2.0]
  content = json.loads((folder / name).read_text())
  damage(content)
  (folder / name).write_text(json.dumps(content))
  with pytest.raises(DamagedError, match=f'{name} is no record.*; delete it'):
    records.find(tmp_path, run).layer_responses()


def test_damaged_responses_are_named_and_left_out(tmp_path, run):
  folder = write_record(tmp_path, run, error=0.08)
  (folder / 'responses.json').write_text(json.dumps(RESPONSES))
  assert row_of(shown('fig7', tmp_path), 'ResNet-20')['mean'] == '1.500'
  (folder / 'responses.json').write_text('{}')
  words = ' '.join(shown('fig7', tmp_path).split())
  assert 'responses.json is no record' in words and 'delete it' in words
  assert '1.500' not in words


def test_responses_of_different_definitions_are_named(tmp_path):
  for run in expand(Member('cifar_resnet20'), Scale(seeds=2)):
    folder = write_record(tmp_path, run, error=0.08)
    definition = RESPONSES['definition'] | {'batch_size': 3 + run.seed}
    content = json.dumps(RESPONSES | {'definition': definition})
    (folder / 'responses.json').write_text(content)
  assert 'differ in the definition' in shown('fig7', tmp_path)


def test_a_folder_of_another_run_is_refused(tmp_path):
  one, other = expand(Member('cifar_resnet20'), Scale(seeds=2))
  folder = write_record(tmp_path, other, error=0.08)
  folder.rename(tmp_path / one.name)
  with pytest.raises(UserError, match=r'seed is 1, not 0.*--runs'):
    records.find(tmp_path, one)
  begun = tmp_path / other.name
  begun.mkdir()
  config = json.loads((tmp_path / one.name / 'results.json').read_text())
  config['config']['batch_size'] = 64
  (begun / 'config.json').write_text(json.dumps(config['config']))
  with pytest.raises(UserError, match='batch_size is 64, not 128'):
    records.find(tmp_path, other)


def test_a_test_on_other_views_is_refused(tmp_path):
  (run,) = expand(Member('imagenet_resnet34'), Scale())
  examples = {'train': 1_281_167, 'validation': 50_000}
  folder = write_record(tmp_path, run, error=0.3, examples=examples)
  config = run.configuration()
  config.test.views = 'dense'
  score = {'examples': 50_000, 'error': 0.25, 'error_top5': 0.07}
  content = {
    'config': json.loads(config.to_json()),
    'results': {'somewhere': {'validation': score}},
  }
  (folder / 'results-dense.json').write_text(json.dumps(content))
  record = records.find(tmp_path, run)
  assert record.evaluation('dense').error == 0.25
  (folder / 'results-dense.json').rename(folder / 'results-ten_crop.json')
  with pytest.raises(UserError, match=r"views is 'dense'"):
    record.evaluation('ten_crop')


@pytest.mark.parametrize(
  'content', [b'', b'\xff\xfe', b'{"step": 1}\n', b'[]\n', None]
)
def test_curves_that_are_gone_leave_the_table(tmp_path, run, content):
  folder = write_record(tmp_path, run, error=0.08)
  (folder / 'metrics.jsonl').unlink()
  if content is None:
    (folder / 'metrics.jsonl').mkdir()
  else:
    (folder / 'metrics.jsonl').write_bytes(content)
  cells = cells_of(shown('fig6', tmp_path), 'ResNet-20')
  assert cells[2] == '8.00'
  assert cells[-3] == MISSING, 'the training error'


def test_curves_that_were_cut_short_are_not_the_end(tmp_path, run):
  folder = write_record(tmp_path, run, error=0.08)
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  (folder / 'metrics.jsonl').write_text('\n'.join(lines[:2]))
  assert records.find(tmp_path, run).train_error is None


def test_an_ensemble_is_of_its_members(tmp_path):
  target = targets.find('table5')
  files = set()
  for scale in (Scale(), Scale(seeds=1), Scale(depths=(34, 50), seeds=2)):
    runs = targets.in_order(target, scale)
    files.add(records.ensemble_file(tmp_path, 'table5', runs))
  assert len(files) == 3
  score = {'examples': 9, 'error': 0.2, 'error_top5': 0.1}
  results = {'ensemble': {'validation': score}} | {
    f'runs/{run.name}/checkpoints/latest/9': {'validation': score}
    for run in runs
  }
  config = runs[0].configuration()
  config.test.views = target.views
  content = {'config': to_json(config), 'results': results}
  file = records.ensemble_file(tmp_path, 'table5', runs)
  assert records.ensemble(tmp_path, target, runs) is None
  file.write_text(json.dumps(content))
  assert records.ensemble(tmp_path, target, runs).error_top5 == 0.1
  results.popitem()
  file.write_text(json.dumps(content))
  with pytest.raises(DamagedError, match='these networks'):
    records.ensemble(tmp_path, target, runs)


def write_checkpoint(folder, weights):
  """The facts of a checkpoint as a run leaves them; returns its fingerprint."""
  found = checkpoint.Found(9, folder, {'state/params': weights}, {})
  path = folder / 'checkpoints' / 'latest' / '9'
  (path / 'meta').mkdir(parents=True, exist_ok=True)
  content = json.dumps(meta.seal({}, found.arrays))
  (path / 'meta' / 'metadata').write_text(content)
  return str(path), found.fingerprint


@pytest.fixture
def tested(tmp_path):
  """Table 5 of two networks: the target, its runs, and the file of the test."""
  target = targets.find('table5')
  runs = targets.in_order(target, Scale(depths=(34, 50), seeds=1))
  folders = [tmp_path / run.name for run in runs]
  checkpoints = dict(
    write_checkpoint(folder, np.full(3, i)) for i, folder in enumerate(folders)
  )
  config = runs[0].configuration()
  config.test.views = target.views
  score = {'validation': {'examples': 9, 'error': 0.2, 'error_top5': 0.1}}
  content = {
    'config': to_json(config),
    'checkpoints': checkpoints,
    'results': dict.fromkeys([*checkpoints, 'ensemble'], score),
  }
  file = records.ensemble_file(tmp_path, 'table5', runs)
  file.write_text(json.dumps(content))
  assert records.ensemble(tmp_path, target, runs).error == 0.2
  return target, runs, file


def test_an_ensemble_with_a_member_trained_anew_is_stale(tmp_path, tested):
  target, runs, _ = tested
  write_checkpoint(tmp_path / runs[1].name, np.full(3, 7))
  with pytest.raises(DamagedError, match=f'stale: .*{runs[1].name}'):
    records.ensemble(tmp_path, target, runs)
  # Records that were kept without their checkpoints are as good as ever.
  for run in runs:
    shutil.rmtree(tmp_path / run.name)
  assert records.ensemble(tmp_path, target, runs).error == 0.2


def test_an_ensemble_that_does_not_say_its_weights_is_stale(tmp_path, tested):
  """Files of 0.1 and 0.2, beside checkpoints that may be newer."""
  target, runs, file = tested
  content = json.loads(file.read_text())
  del content['checkpoints']
  file.write_text(json.dumps(content))
  with pytest.raises(DamagedError, match=f'may be of other.*{runs[0].name}'):
    records.ensemble(tmp_path, target, runs)
  for run in runs:
    shutil.rmtree(tmp_path / run.name)
  assert records.ensemble(tmp_path, target, runs).error == 0.2


@pytest.mark.parametrize(
  ('field', 'value'), [('views', 'single'), ('dense_shorter_sides', [224])]
)
def test_an_ensemble_that_was_tested_otherwise_is_stale(
  tmp_path, tested, field, value
):
  target, runs, file = tested
  content = json.loads(file.read_text())
  content['config']['test'][field] = value
  file.write_text(json.dumps(content))
  with pytest.raises(DamagedError, match=f'test.{field}.*delete it'):
    records.ensemble(tmp_path, target, runs)


def test_what_was_measured_on_other_weights_is_stale(tmp_path, run):
  folder = write_record(tmp_path, run, error=0.08)
  path, fingerprint = write_checkpoint(folder, np.ones(3))
  score = {'examples': 9, 'error': 0.2, 'error_top5': 0.1}
  content = {
    'config': to_json(run.configuration()),
    'checkpoints': {path: fingerprint},
    'results': {path: {'test': score}},
  }
  (folder / 'results-single.json').write_text(json.dumps(content))
  measured = RESPONSES | {'checkpoint': fingerprint}
  (folder / 'responses.json').write_text(json.dumps(measured))
  record = records.find(tmp_path, run)
  assert record.evaluation('single').error == 0.2
  assert record.layer_responses().stds == [1.0, 2.0]
  write_checkpoint(folder, np.zeros(3))
  with pytest.raises(DamagedError, match=r'results-single.json is stale'):
    record.evaluation('single')
  with pytest.raises(DamagedError, match=r'responses.json is stale'):
    record.layer_responses()
