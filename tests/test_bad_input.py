"""Bad input: one paragraph that says what to do, exit 1, and nothing lost."""

import json
import shutil

import numpy as np
import pytest

from resnet_jax.runs import checkpoint
from tests import command

# What is wrong, the words that must tell of it and of its mend, and for how
# many devices. `{digits}` is a good set; the rest of the config is TINY's.
FIELDS = [
  ('unknown field', ['--config.modle.name=x'], ["did you mean 'model.name'"]),
  ('unknown leaf', ['--config.batchsize=8'], ["did you mean 'batch_size'"]),
  ('wrong type', ['--config.batch_size=many'], ['batch_size', 'many']),
  ('float for int', ['--config.batch_size=12.5'], ['batch_size', '12.5']),
  ('text for bool', ['--config.augment.flip=perhaps'], ['flip', 'perhaps']),
  ('group for field', ['--config.model=x'], ['group of fields', 'model.name']),
  ('unknown flag', ['--wrokdir=x'], ['wrokdir', 'workdir ?']),
  ('stray argument', ['train'], ["'train'", '--NAME=VALUE']),
  ('unknown network', ['--config.model.name=cifar_resnet'], ['no network']),
  ('depth', ['--config.model.name=cifar_resnet21'], ['20 and 26']),
  (
    'shortcut in a plain net',
    ['--config.model.name=cifar_plain8', '--config.model.shortcut=B'],
    ['no shortcuts', 'cifar_resnet8'],
  ),
  ('dtype', ['--config.model.dtype=float16'], ['bfloat16', 'float32']),
  ('BN groups', ['--config.batch_size=20'], ['groups of 8', '16 or 24']),
  ('large batch', ['--config.batch_size=160'], ['160', '150 examples']),
  ('duration', ['--config.duration=soon'], ["'soon'", "'2.5 epochs'"]),
  ('no duration', ['--config.duration=0'], ['0 steps', 'at least 1']),
  ('late drop', ['--config.schedule.drops=(40,)'], ['40', '30 steps', '%']),
  ('schedule', ['--config.schedule.name=cosin'], ["did you mean 'cosine'"]),
  ('rate', ['--config.schedule.learning_rate=0'], ['learning_rate', 'above 0']),
  ('momentum', ['--config.optimizer.momentum=1.0'], ['momentum', '[0, 1)']),
  (
    'validation',
    ['--config.dataset.validation_examples=150'],
    ['150 training examples', '0 to 149'],
  ),
  ('keep', ['--config.run.checkpoints_kept=-1'], ['checkpoints_kept']),
  ('pad', ['--config.augment.pad=8'], ['8x8', '0 to 7']),
  ('eval of nothing', ['--mode=eval'], ['no checkpoints', 'train first']),
  (
    'eval of no checkpoint',
    ['--mode=eval', '--checkpoint=nowhere/7'],
    ['nowhere/7', 'SERIES/STEP'],
  ),
  ('checkpoint to train', ['--checkpoint=x/7'], ['--mode=eval']),
]


def refused(*words, telling=(), **options):
  """Runs the command, which must refuse in the way this file is about."""
  result = command.run(*words, **options)
  text = result.stdout + result.stderr
  assert result.returncode == 1, text
  assert 'Traceback' not in text
  before, found, error = result.stderr.rpartition('error: ')
  assert found and before in ('', before.rstrip('\n') + '\n'), text
  for word in telling:
    assert str(word) in error, text
  assert '\n\n' not in error.strip()
  return error


def arguments(digits_npz, workdir, *more):
  data = f'--config.dataset.npz={digits_npz}'
  return (*command.TINY, data, f'--workdir={workdir}', *more)


@pytest.mark.parametrize(
  ('more', 'telling'),
  [pytest.param(more, telling, id=name) for name, more, telling in FIELDS],
)
def test_fields_and_flags(tmp_path, digits_npz, more, telling):
  refused(*arguments(digits_npz, tmp_path, *more), telling=telling)
  assert not (tmp_path / 'metrics.jsonl').exists()


@pytest.mark.parametrize(
  ('batch', 'telling'),
  [(100, 'try 96 or 104'), (4, 'try 8'), (24, 'neither divide')],
)
def test_a_batch_that_devices_cannot_share(
  tmp_path, digits_npz, batch, telling
):
  words = arguments(digits_npz, tmp_path, f'--config.batch_size={batch}')
  refused(*words, telling=[f'batch_size {batch}', telling], devices=8)


MADE_UP = """
from configs import common

def get_config():
  config = common.get_config()
  config.batch_sise = 64
  return config
"""

LACKING = """
import ml_collections

def get_config():
  return ml_collections.ConfigDict({'batch_size': 64})
"""


@pytest.mark.parametrize(
  ('content', 'telling'),
  [
    (None, ['no file', 'conf.py']),
    ('x = 1', ['get_config']),
    ('1 / 0', ['ZeroDivisionError']),
    ('def get_config(:', ['SyntaxError']),
    ('def get_config(): return None', ['returns None', 'ConfigDict']),
    (MADE_UP, ["'batch_sise'", "did you mean 'batch_size'"]),
    (LACKING, ['has no field', 'configs.common.get_config()']),
  ],
)
def test_config_files(tmp_path, content, telling):
  file = tmp_path / 'conf.py'
  if content is not None:
    file.write_text(content)
  refused(f'--config={file}', telling=telling)


def test_a_mistyped_config_file_names_the_near_one():
  refused(
    '--config=configs/cifar_resent20.py',
    telling=["did you mean 'cifar_resnet20.py'"],
  )


def test_no_config_at_all():
  refused(telling=['--config=configs/'])
  refused('--config.seed=1', telling=['needs --config=FILE'])


def damaged(name, arrays, file):
  """Writes `arrays` to `file` with the damage `name`."""
  arrays = dict(arrays)
  images, labels = arrays['train_images'], arrays['train_labels'].copy()
  if name == 'lacks an array':
    del arrays['test_labels']
  elif name == 'empty':
    arrays['test_images'] = arrays['test_images'][:0]
    arrays['test_labels'] = arrays['test_labels'][:0]
  elif name == 'float images':
    arrays['train_images'] = images / 255
  elif name == 'float labels':
    arrays['train_labels'] = labels.astype(float)
  elif name == 'lost labels':
    arrays['train_labels'] = labels[:140]
  elif name == 'negative label':
    labels[17] = -1
    arrays['train_labels'] = labels
  elif name == 'label without a class':
    arrays['test_labels'] = arrays['test_labels'].copy()
    arrays['test_labels'][5] = 10
  elif name == 'class without examples':
    arrays['train_labels'] = np.where(labels == 3, 4, labels)
  elif name == 'two sizes':
    arrays['test_images'] = arrays['test_images'][:, :6]
  np.savez(file, **arrays)
  if name == 'truncated':
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
  elif name == 'no npz':
    file.write_text('label,pixel\n')


@pytest.mark.parametrize(
  ('name', 'telling'),
  [
    ('lacks an array', ['lacks test_labels']),
    ('empty', ['test split', 'no images']),
    ('float images', ['train split', 'uint8', 'float64']),
    ('float labels', ['train split', 'integers', 'float64']),
    ('lost labels', ['150 images but 140 labels', 'example 140']),
    ('negative label', ['label -1 of example 17']),
    ('label without a class', ['test split', 'label 10 of example 5']),
    ('class without examples', ['no example has label 3']),
    ('two sizes', ['(8, 8, 1)', '(6, 8, 1)']),
    ('truncated', ['damaged']),
    ('no npz', ['damaged or no .npz']),
  ],
)
def test_damaged_data(tmp_path, digits_npz, name, telling):
  file = tmp_path / 'set.npz'
  with np.load(digits_npz) as arrays:
    damaged(name, arrays, file)
  words = arguments(file, tmp_path / 'run')
  refused(*words, telling=['set.npz', *telling])


def test_data_that_are_not_there(tmp_path):
  refused(*arguments('nowhere.npz', tmp_path), telling=['no file nowhere.npz'])


def test_a_set_that_tfds_does_not_know(tmp_path):
  pytest.importorskip('tensorflow_datasets')
  words = arguments('', tmp_path, '--config.dataset.name=cifar11')
  refused(*words, telling=["knows no 'cifar11'", "did you mean 'cifar10"])


def test_a_download_that_is_impossible_says_what_to_do_by_hand(tmp_path):
  pytest.importorskip('tensorflow_datasets')
  words = (
    '--config=configs/cifar_resnet20.py',
    f'--config.dataset.data_dir={tmp_path}/data',
    f'--workdir={tmp_path}/run',
  )
  # A proxy that refuses at once stands for a machine without a network.
  closed = {
    'https_proxy': 'http://127.0.0.1:9',
    'http_proxy': 'http://127.0.0.1:9',
  }
  error = refused(
    *words,
    telling=[
      'cifar10 is not prepared',
      'cifar-10-binary.tar.gz',
      f'{tmp_path}/data/downloads/manual',
      'configs/digits_resnet20.py',
    ],
    environment=closed,
  )
  assert len(error.strip().splitlines()) == 3


def test_a_folder_that_cannot_be_written(tmp_path, digits_npz):
  file = tmp_path / 'file'
  file.write_text('mine')
  words = arguments(digits_npz, file / 'run')
  refused(*words, telling=[f'{file}/run', 'another folder'])
  assert file.read_text() == 'mine'


def test_a_file_where_the_checkpoints_go(tmp_path, digits_npz):
  (tmp_path / 'checkpoints').write_text('mine')
  words = arguments(digits_npz, tmp_path)
  refused(*words, telling=[f'{tmp_path}/checkpoints', 'another folder'])
  assert (tmp_path / 'checkpoints').read_text() == 'mine'


def test_eval_of_a_folder_that_is_not_there_does_not_make_it(tmp_path):
  words = ('--mode=eval', f'--workdir={tmp_path}/nowhere')
  refused(*words, telling=['nowhere', 'no checkpoints', 'train first'])
  refused('--mode=eval', telling=['--workdir=DIR', '--checkpoint='])
  assert not list(tmp_path.iterdir())


@pytest.fixture(scope='module')
def trained(tmp_path_factory, digits_npz):
  """A finished run, with checkpoints of steps 25 and 30."""
  workdir = tmp_path_factory.mktemp('trained') / 'run'
  command.run_well(*arguments(digits_npz, workdir))
  return workdir


@pytest.fixture
def workdir(trained, tmp_path):
  return shutil.copytree(trained, tmp_path / 'run')


def content(workdir):
  """Every file and its bytes."""
  files = [path for path in workdir.rglob('*') if path.is_file()]
  return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
  ('more', 'telling'),
  [
    (['--config.seed=1'], ['config.seed was 0 and is 1', 'resume_changed']),
    (
      ['--config.model.name=cifar_resnet14'],
      ["'cifar_resnet8' and is 'cifar_resnet14'", '--workdir'],
    ),
    (
      [
        '--config.model.name=cifar_resnet14',
        '--config.run.resume_changed=True',
      ],
      ['another network', 'lacks state/params/conv2_x/block2'],
    ),
    (
      ['--config.duration=20', '--config.run.resume_changed=True'],
      ['past the 20 steps'],
    ),
  ],
)
def test_a_run_under_another_config(digits_npz, workdir, more, telling):
  before = content(workdir)
  refused(*arguments(digits_npz, workdir, *more), telling=telling)
  assert content(workdir) == before


def test_a_run_on_other_data(tmp_path, workdir):
  before = content(workdir)
  command.write_digits(tmp_path / 'other.npz', train=160)
  words = arguments(tmp_path / 'other.npz', workdir)
  refused(*words, telling=['data are not the same'])
  assert content(workdir) == before


def test_what_changes_no_result_may_change(digits_npz, workdir):
  more = ['--config.run.log_every=7', '--config.run.eval_batch_size=9']
  out = command.run_well(*arguments(digits_npz, workdir, *more))
  assert 'resumed at step 30' in out


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
  lose_meta,
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


def test_when_no_checkpoint_is_whole_nothing_is_deleted(digits_npz, workdir):
  latest = workdir / 'checkpoints' / 'latest'
  for step in ('25', '30'):
    flip_a_bit(latest / step)
  before = content(workdir)
  refused(
    *arguments(digits_npz, workdir), telling=['none', 'steps 25, 30', 'backup']
  )
  assert content(workdir) == before


def test_a_foreign_checkpoint(digits_npz, workdir):
  import orbax.checkpoint as ocp

  folder = workdir / 'checkpoints' / 'latest'
  shutil.rmtree(folder)
  with ocp.CheckpointManager(folder) as manager:
    tree = {'weights': np.ones(3)}
    manager.save(7, args=ocp.args.StandardSave(tree))
  before = content(workdir)
  refused(*arguments(digits_npz, workdir), telling=['none', 'steps 7'])
  assert content(workdir) == before


def test_records_that_are_none_do_not_matter(digits_npz, workdir):
  with (workdir / 'metrics.jsonl').open('a') as file:
    file.write('{"no": "step"}\n{"step": 30, "spl')
  out = command.run_well(*arguments(digits_npz, workdir))
  assert 'resumed at step 30' in out


def test_a_folder_in_place_of_the_records(digits_npz, workdir):
  (workdir / 'metrics.jsonl').unlink()
  (workdir / 'metrics.jsonl').mkdir()
  refused(*arguments(digits_npz, workdir), telling=['metrics.jsonl', 'Mend'])


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
