"""Damaged runs, and runs under another config: told so, and nothing is lost."""

import json
import shutil

import numpy as np
import pytest

from resnet_jax import eval_only, experiment, finish, start
from resnet_jax.config.file import fields, load_config
from resnet_jax.errors import UserError
from resnet_jax.placement import replicate
from resnet_jax.runs import checkpoint, lock
from resnet_jax.runs.workdir import read_json
from tests import command
from tests.command import arguments, refused


@pytest.fixture
def workdir(finished_run, tmp_path):
  return shutil.copytree(finished_run, tmp_path / 'run')


def config_of(workdir, **changes):
  """The config of the run in `workdir`, but for some fields."""
  config = load_config('configs/digits_resnet20.py')
  own = read_json(workdir / 'config.json')
  config.update_from_flattened_dict(fields(own) | changes)
  return config


def begin(config, workdir):
  """Takes a run up to its first step, and returns the number of that."""
  run, series, newest = start.prepare(config, workdir)
  try:
    state, _ = start.first_state(run, workdir, newest)
  finally:
    series.close()
  return state.step


@pytest.fixture
def config(digits_npz):
  """The config of a run of seconds, much as that of `trained`."""
  config = load_config('configs/digits_resnet20.py')
  config.update_from_flattened_dict(
    {
      'dataset.npz': str(digits_npz),
      'model.name': 'cifar_resnet8',
      'bn_recompute_batches': 0,
    }
  )
  return config


def content(workdir):
  """Every file and its bytes."""
  files = [path for path in workdir.rglob('*') if path.is_file()]
  return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
  ('more', 'telling'),
  [
    (
      {'model.name': 'cifar_resnet14'},
      "'cifar_resnet8' and is 'cifar_resnet14'.*--workdir",
    ),
    (
      {'model.name': 'cifar_resnet14', 'run.resume_changed': True},
      'another network.*lacks state/params/conv2_x/block2',
    ),
    (
      {'duration': '20', 'run.resume_changed': True},
      'past the 20 steps',
    ),
  ],
)
def test_a_run_under_another_config(workdir, more, telling):
  before = content(workdir)
  with pytest.raises(UserError, match=telling):
    begin(config_of(workdir, **more), workdir)
  assert content(workdir) == before


def test_the_command_under_another_config(digits_npz, workdir):
  before = content(workdir)
  refused(
    *arguments(digits_npz, workdir, '--config.seed=1'),
    telling=['config.seed was 0 and is 1', 'resume_changed'],
  )
  assert content(workdir) == before


def test_a_run_on_other_data(tmp_path, workdir):
  before = content(workdir)
  other = tmp_path / 'other.npz'
  command.write_digits(other, train=160)
  with pytest.raises(UserError, match='data are not the same'):
    begin(config_of(workdir, **{'dataset.npz': str(other)}), workdir)
  assert content(workdir) == before


def test_what_changes_no_result_may_change(workdir):
  changes = {'run.log_every': 7, 'run.eval_batch_size': 9}
  assert begin(config_of(workdir, **changes), workdir) == 30


def test_told_to_go_on_it_does(digits_npz, workdir):
  more = ['--config.duration=34', '--config.run.resume_changed=True']
  out = command.run_well(*arguments(digits_npz, workdir, *more))
  assert 'resumed at step 30 of 34' in out


def largest(folder):
  """The file with the arrays of a checkpoint."""
  files = [path for path in (folder / 'state').rglob('*') if path.is_file()]
  return max(files, key=lambda path: path.stat().st_size)


def truncate(folder):
  file = largest(folder)
  file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(folder):
  file = largest(folder)
  data = bytearray(file.read_bytes())
  data[len(data) // 2] ^= 1
  file.write_bytes(data)


def lose_meta(folder):
  shutil.rmtree(folder / 'meta')


def empty_meta(folder):
  (folder / 'meta' / 'metadata').write_text('{}')


DAMAGE = [
  flip_a_bit,
  pytest.param(lose_meta, marks=pytest.mark.slow),
  pytest.param(truncate, marks=pytest.mark.slow),
  pytest.param(empty_meta, marks=pytest.mark.slow),
]


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_checkpoint_is_skipped_and_named(digits_npz, workdir, damage):
  latest = workdir / 'checkpoints' / 'latest'
  whole = checkpoint.read_step(latest / '30')
  damage(latest / '30')
  out = command.run_well(*arguments(digits_npz, workdir))
  assert f'{latest}/30 is damaged and skipped' in out
  assert 'resumed at step 25 of 30' in out
  assert (latest / '30.damaged').is_dir()
  again = checkpoint.read_step(latest / '30')
  for name, x in whole.arrays.items():
    np.testing.assert_array_equal(again.arrays[name], x)


def test_when_no_checkpoint_is_whole_nothing_is_deleted(workdir):
  latest = workdir / 'checkpoints' / 'latest'
  for step in ('25', '30'):
    flip_a_bit(latest / step)
  before = content(workdir)
  with pytest.raises(UserError, match=r'none.*steps 25, 30.*backup'):
    begin(config_of(workdir), workdir)
  assert content(workdir) == before


def test_a_foreign_checkpoint(workdir):
  import orbax.checkpoint as ocp

  folder = workdir / 'checkpoints' / 'latest'
  shutil.rmtree(folder)
  with ocp.CheckpointManager(folder) as manager:
    tree = {'weights': np.ones(3)}
    manager.save(7, args=ocp.args.StandardSave(tree))
  before = content(workdir)
  with pytest.raises(UserError, match=r'none.*steps 7'):
    begin(config_of(workdir), workdir)
  assert content(workdir) == before


def lose_latest(workdir):
  shutil.rmtree(workdir / 'checkpoints' / 'latest')


def empty_latest(workdir):
  lose_latest(workdir)
  (workdir / 'checkpoints' / 'latest').mkdir()


def replace_latest(workdir):
  lose_latest(workdir)
  (workdir / 'checkpoints' / 'latest').write_text('a file')


def replace_checkpoints(workdir):
  shutil.rmtree(workdir / 'checkpoints')
  (workdir / 'checkpoints').write_text('a file')


@pytest.mark.parametrize(
  ('damage', 'telling'),
  [
    (lose_latest, 'results of a run, and .*latest no checkpoint.* Put the'),
    (empty_latest, 'results of a run, and .*latest no checkpoint.* Put the'),
    (replace_latest, 'cannot be kept in .*latest: .*latest is no folder'),
    (replace_checkpoints, 'cannot be kept in .*: .*checkpoints is no folder'),
  ],
)
def test_results_without_their_checkpoint(config, workdir, damage, telling):
  damage(workdir)
  before = content(workdir)
  with pytest.raises(UserError, match=telling):
    start.prepare(config, workdir)
  assert content(workdir) == before


def make_way(workdir):
  """What a run does once it is accepted; the best checkpoint that it finds."""
  latest = workdir / 'checkpoints' / 'latest'
  series = checkpoint.Series(latest, keep=1)
  newest = series.newest()
  with lock.hold(workdir) as held:
    best_series, best = start.make_way(held, series, newest)
  for one in (series, best_series):
    one.close()
  return best


@pytest.mark.parametrize('lose', [lose_latest, empty_latest])
def test_records_without_their_checkpoint(workdir, caplog, lose):
  before = (workdir / 'metrics.jsonl').read_bytes()
  lose(workdir)
  (workdir / 'results.json').unlink()
  assert make_way(workdir) is None
  assert (workdir / 'metrics.jsonl.old').read_bytes() == before
  assert (workdir / 'checkpoints' / 'recomputed.old' / '30').is_dir()
  assert 'training begins at step 0' in caplog.text
  assert 'kept as metrics.jsonl.old' in caplog.text


def best_of(workdir, damage):
  """A best checkpoint with the bytes of another, damaged; None: a file."""
  best = workdir / 'checkpoints' / 'best'
  shutil.rmtree(best)
  if damage is None:
    best.write_text('a file')
    return
  shutil.copytree(workdir / 'checkpoints' / 'latest' / '25', best / '25')
  damage(best / '25')


@pytest.mark.parametrize(
  ('damage', 'aside'),
  [
    (flip_a_bit, 'best/25.damaged'),
    (lose_meta, 'best/25.damaged'),
    (None, 'best.damaged'),
  ],
)
def test_a_damaged_best_blocks_nothing(workdir, caplog, damage, aside):
  best_of(workdir, damage)
  assert make_way(workdir) is None
  path = workdir / 'checkpoints' / aside
  assert path.exists() and f'now {path.name}' in caplog.text


def test_a_damaged_best_does_not_block_evaluation(workdir):
  best_of(workdir, lose_meta)
  found = eval_only._newest_of_each(workdir)
  assert [one.path.parent.name for one in found] == ['latest', 'recomputed']


def test_a_best_that_is_damaged_at_the_end(config, workdir):
  """It was whole at the start: the results lack it, and the run ends well."""
  run = experiment.build(config)
  best_of(workdir, flip_a_bit)
  series = checkpoint.Series(workdir / 'checkpoints' / 'best', keep=1)
  state = replicate(run.initial_state())
  with lock.hold(workdir) as held:
    results = finish.evaluate_final(run, state, held=held, best=series)
  series.close()
  assert results.keys() == {'running'}
  assert (workdir / 'checkpoints' / 'best' / '25.damaged').is_dir()


@pytest.mark.slow
def test_records_that_are_none_do_not_matter(digits_npz, workdir):
  with (workdir / 'metrics.jsonl').open('a') as file:
    file.write('{"no": "step"}\n{"step": 30, "spl')
  out = command.run_well(*arguments(digits_npz, workdir))
  assert 'resumed at step 30' in out


def test_a_folder_in_place_of_the_records(digits_npz, workdir):
  (workdir / 'metrics.jsonl').unlink()
  (workdir / 'metrics.jsonl').mkdir()
  refused(*arguments(digits_npz, workdir), telling=['metrics.jsonl', 'Mend'])


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_saved(digits_npz, workdir):
  # Longer, so that there is something to save; files cannot exceed 20 kB.
  more = ['--config.duration=60', '--config.run.resume_changed=True']
  refused(
    *arguments(digits_npz, workdir, *more),
    telling=['could not be written', 'latest', 'disk full', 'latest/30'],
    largest_file=20_000,
    # Nor may the limit leave half an entry in the cache that all tests share.
    environment={'JAX_ENABLE_COMPILATION_CACHE': 'false'},
  )
  checkpoint.read_step(workdir / 'checkpoints' / 'latest' / '30')


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, digits_npz):
  # Harmless until step 20, when the rate is multiplied by 1e30.
  more = [
    '--config.schedule.drops=(20,)',
    '--config.schedule.drop_factor=1e30',
  ]
  error = refused(
    *arguments(digits_npz, tmp_path, *more),
    telling=['training loss of step 2', 'not finite', 'latest/20'],
  )
  assert 'learning_rate' in error
  assert checkpoint.read_step(tmp_path / 'checkpoints/latest/20').step == 20
  config = json.loads((tmp_path / 'config.json').read_text())
  assert config['schedule']['drop_factor'] == 1e30
