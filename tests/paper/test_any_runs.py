"""Any runs are repeated over seeds and fields, and compared."""

import json
import shutil

import pytest

from resnet_jax.config.file import load_config, to_json
from resnet_jax.errors import UserError
from resnet_jax.paper import __main__, compare, repeat
from resnet_jax.runs.workdir import write_json
from tests import command


def leave(folder, *, seed=0, error=0.1, finished=True, **fields):
  """Leaves what a run of two steps leaves."""
  folder.mkdir(parents=True)
  config = load_config('digits_resnet20')
  config.update_from_flattened_dict({'seed': seed, **fields})
  write_json(folder / 'config.json', to_json(config))
  records = [
    {'step': step, 'split': split, 'error': 2 * error / step}
    for step in (1, 2)
    for split in ('train', 'test')
  ]
  lines = [json.dumps(record) + '\n' for record in records]
  (folder / 'metrics.jsonl').write_text(''.join(lines))
  if finished:
    score = {'error': error, 'error_top5': 0}
    content = {
      'config': to_json(config),
      'results': {'running': {'test': {**score, 'error': 0.9}}},
      'seconds': {'train': 3600, 'input': 1000},
      'data': 'fingerprint',
      'step': 2,
    }
    content['results']['recomputed'] = {'test': score}
    write_json(folder / 'results.json', content)


@pytest.fixture
def runs(tmp_path):
  for seed, error in enumerate((0.1, 0.2, 0.3)):
    leave(tmp_path / f'low{seed}', seed=seed, error=error)
  leave(tmp_path / 'high', error=0.5, **{'schedule.learning_rate': 1.0})
  leave(tmp_path / 'cut', finished=False, **{'schedule.learning_rate': 1.0})
  (tmp_path / 'no run').mkdir()
  return tmp_path


def test_a_row_for_each_set_of_seeds(runs):
  lines = compare.table(compare.find([runs])).splitlines()
  header = [cell.strip() for cell in lines[0].strip('|').split('|')]
  assert header == ['run', 'seeds', 'test', 'training', 'hours']
  (low,) = [line for line in lines if 'learning_rate 0.1' in line]
  cells = [cell.strip() for cell in low.strip('|').split('|')]
  # The sample deviation of 10, 20 and 30 is 10.
  assert cells[1:] == [
    '0, 1, 2',
    '20.00 ± 10.00',
    '20.00 ± 10.00',
    '1.00 ± 0.00',
  ]
  (high,) = [line for line in lines if 'learning_rate 1.0' in line]
  assert '0, 0 (1 finished)' in high
  assert '50.00' in high


def test_the_training_error_is_of_the_last_step(runs, caplog):
  """And not of an earlier one, where the end of the records is lost."""
  file = runs / 'low0' / 'metrics.jsonl'
  lines = file.read_text().splitlines()
  kept = [line for line in lines if json.loads(line)['step'] < 2]
  file.write_text('\n'.join(kept) + '\n')
  (run,) = compare.find([runs / 'low0'])
  assert run.train_error is None and run.scores['test'].error == 0.1
  assert 'has 2 steps, and the records behind step 1 are lost' in caplog.text
  # A run that is still training has no last step yet.
  (cut,) = compare.find([runs / 'cut'])
  assert cut.train_error == pytest.approx(10)


def test_copies_of_a_run_are_no_seeds(runs, caplog):
  compare.table(compare.find([runs / f'low{seed}' for seed in range(3)]))
  assert not caplog.text
  shutil.copytree(runs / 'low0', runs / 'copy')
  compare.table(compare.find([runs / 'low0', runs / 'low1', runs / 'copy']))
  words = f'{runs}/low0, {runs}/copy are of one config and of one seed, 0'
  assert words in caplog.text


@pytest.mark.parametrize('name', ['config.json', 'results.json'])
def test_an_edited_file_is_refused(runs, name):
  file = runs / 'low0' / name
  file.write_text(file.read_text().replace('0.1', '0.2'))
  with pytest.raises(UserError, match=f'low0/{name} cannot be read .its hash'):
    compare.find([runs])


def test_one_picture(runs, tmp_path):
  compare.draw(compare.find([runs / 'low0', runs / 'high']), runs / 'picture')
  for suffix in ('png', 'svg'):
    assert (runs / f'picture.{suffix}').stat().st_size > 5_000


@pytest.mark.parametrize(
  ('words', 'code', 'telling'),
  [
    (['{runs}/no run'], 2, 'no folder of a run'),
    (['{runs}', '--figure={runs}/nowhere/x'], 2, 'make it first'),
    (['{runs}', '--figure={runs}/x'], 0, 'x.png and .svg'),
  ],
)
def test_the_command(words, code, telling, runs, capsys):
  words = [word.format(runs=runs) for word in words]
  try:
    __main__.run(['compare', *words])
    assert code == 0
  except SystemExit as e:
    assert e.code == code
  captured = capsys.readouterr()
  assert telling in captured.out + captured.err


def test_all_combinations_have_folders_of_their_own(tmp_path):
  found = repeat.expand(
    'digits_resnet20',
    root=tmp_path,
    seeds=2,
    fixed=['duration=30'],
    varied=[['model.shortcut', 'None', 'B'], ['augment.shorter_side', '(1,2)']],
  )
  assert [one.folder.name for one in found] == [
    f'digits_resnet20-shortcut{s}-shorter_side_1_2_-seed{n}'
    for s in ('None', 'B')
    for n in (0, 1)
  ]
  assert [one.config.model.shortcut for one in found] == [None, None, 'B', 'B']
  assert [one.config.seed for one in found] == [0, 1, 0, 1]
  assert {one.config.duration for one in found} == {'30'}
  assert '--config.seed=1' in found[1].flags


@pytest.mark.parametrize(
  ('options', 'telling'),
  [
    ({'fixed': ['duration']}, 'FIELD=VALUE'),
    ({'fixed': ['lr=1']}, "did you mean 'schedule.learning_rate'"),
    ({'varied': [['batch_size']]}, 'needs values'),
    ({'varied': [['batch_size', '16', 'x']]}, 'whole number'),
    ({'fixed': ['batch_size=0']}, 'at least 1'),
  ],
)
def test_what_cannot_be_repeated(options, telling, tmp_path):
  with pytest.raises(UserError, match=telling):
    repeat.expand('digits_resnet20', root=tmp_path, seeds=1, **options)


def test_results_of_another_config_are_not_taken(tmp_path):
  (one,) = repeat.expand('digits_resnet20', root=tmp_path, seeds=1)
  assert not one.is_done()
  leave(one.folder, batch_size=64)
  with pytest.raises(UserError, match=r'batch_size 64, not 128.*--runs'):
    one.is_done()
  (one,) = repeat.expand('digits_resnet20', root=tmp_path / 'b', seeds=1)
  leave(one.folder)
  assert one.is_done()


@pytest.mark.long
def test_repeat_trains_what_is_missing(digits_npz, tmp_path):
  fields = [word.removeprefix('--config.') for word in command.TINY[1:]]
  fields += [
    f'dataset.npz={digits_npz}',
    'bn_recompute_batches=0',
    'duration=5',
  ]
  words = ['repeat', 'digits_resnet20', '--seeds=2', f'--runs={tmp_path}']
  words += [f'--set={field}' for field in fields]
  for _ in range(2):
    result = command.run_fork('resnet_jax.paper.__main__', words)
    assert result.returncode == 0, result.stdout + result.stderr
    assert '0, 1' in result.stdout
  assert (tmp_path / 'compared.png').exists()
  log = (tmp_path / 'digits_resnet20-seed0' / 'log.txt').read_text()
  assert log.count('compiling') == 1  # the second time, nothing was trained
