"""Bad input: one paragraph that says what to do, exit 1, and nothing lost."""

import numpy as np
import pytest

from tests.command import arguments, refused

# The fault, the words that must tell of it and of its mend, and for how
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
  (
    'precision',
    ['--config.model.precision=tensorfloat'],
    ["did you mean 'tensorfloat32'", 'float32, tensorfloat32'],
  ),
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
  (
    # Port 1 has no coordinator: nobody waited for one.
    'hosts',
    [
      *('--coordinator=localhost:1', '--num_hosts=2', '--host=1'),
      '--config.run.host_timeout=nan',
    ],
    ['host_timeout is nan', 'at least 3'],
  ),
  ('checkpoint to train', ['--checkpoint=x/7'], ['--mode=eval']),
]


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
    ('float images', ['train_images', 'uint8', 'float64']),
    ('float labels', ['train_labels', 'integers', 'float64']),
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
    late_environment=closed,
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
