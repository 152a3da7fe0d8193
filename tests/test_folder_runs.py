"""Training on a folder of pictures through the real command, to its ends."""

import csv
import json
import re
import signal
import time

import numpy as np
import pytest

from resnet_jax.runs import checkpoint
from tests import command
from tests.data.streamed.pictures import CLASSES, SMALL, write_folder

pytest.importorskip('tensorflow')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write_folder(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, folder):
  """A run that was never cut."""
  workdir = tmp_path_factory.mktemp('trained')
  out = command.run_well(*on(folder), f'--workdir={workdir}')
  assert 'waiting for input' in out
  return workdir


def on(folder):
  return (*SMALL, f'--config.dataset.folder={folder}')


def records(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  kept = ('step', 'split', 'loss', 'error', 'learning_rate')
  return [{k: r.get(k) for k in kept} for r in map(json.loads, lines)]


def test_a_run_leaves_results_by_class(trained):
  results = json.loads((trained / 'results.json').read_text())
  result = results['results']['running']['validation']
  assert result['examples'] == 10
  with (trained / 'per_class-validation.csv').open() as file:
    rows = list(csv.DictReader(file))
  assert tuple(row['name'] for row in rows) == CLASSES
  assert [int(row['examples']) for row in rows] == [5, 5]
  assert sum(int(row['wrong']) for row in rows) == result['wrong']


@pytest.mark.slow
def test_killed_in_the_middle_of_an_epoch_it_ends_bit_equal(
  trained, folder, tmp_path
):
  # 18 pictures by 8: the checkpoints at 5 and 10 lie within epochs.
  process = command.start(*on(folder), f'--workdir={tmp_path}')
  deadline = time.monotonic() + 120
  latest = tmp_path / 'checkpoints' / 'latest'
  while not (latest / '5').is_dir() and time.monotonic() < deadline:
    time.sleep(0.02)
  assert process.poll() is None, process.communicate()
  process.send_signal(signal.SIGKILL)
  process.communicate()
  assert process.returncode == -signal.SIGKILL
  out = command.run_well(*on(folder), f'--workdir={tmp_path}')
  assert re.search(r'resumed at step (5|10) of 12', out)
  ours, theirs = (
    checkpoint.read_step(run / 'checkpoints' / 'latest' / '12').arrays
    for run in (tmp_path, trained)
  )
  assert ours.keys() == theirs.keys()
  for name, x in ours.items():
    np.testing.assert_array_equal(x, theirs[name], err_msg=name)
  assert records(tmp_path) == records(trained)


@pytest.mark.slow
@pytest.mark.parametrize('views', ['single', 'ten_crop', 'dense'])
def test_all_views_of_a_checkpoint_and_of_an_ensemble(trained, folder, views):
  path = trained / 'checkpoints' / 'latest' / '12'
  out = command.run_well(
    *on(folder),
    '--mode=eval',
    f'--checkpoint={path}',
    f'--checkpoint={path}',
    f'--config.test.views={views}',
    devices=2,
  )
  results = re.findall(r'validation (error .*)', out)
  assert len(results) == 3
  # The average of a network with itself is itself.
  assert len(set(results)) == 1
  assert 'of 10)' in results[0]


@pytest.mark.slow
def test_fine_tuning_changes_the_head_and_what_is_not_frozen(
  trained, folder, tmp_path
):
  path = trained / 'checkpoints' / 'latest' / '12'
  # The network comes with the weights, whatever the config says.
  again = (
    *on(folder),
    '--config.model.name=cifar_resnet14',
    f'--config.finetune.checkpoint={path}',
    '--config.finetune.frozen_stages=2',
    '--config.schedule.learning_rate=0.01',
    '--config.duration=3',
    f'--workdir={tmp_path}',
  )
  out = command.run_well(*again)
  assert f'starting from {path}, with a new head' in out
  assert 'resumed' in command.run_well(*again)
  before = checkpoint.read_step(path).arrays
  after = checkpoint.read_step(tmp_path / 'checkpoints/latest/3').arrays
  frozen = ('conv1/', 'bn1/', 'conv2_x/')
  for name, x in after.items():
    kind, _, rest = name.removeprefix('state/').partition('/')
    if kind in ('params', 'batch_stats'):
      same = np.array_equal(x, before[name])
      assert same == rest.startswith(frozen), name


def test_other_classes_need_a_new_head(trained, tmp_path):
  other = write_folder(tmp_path / 'set', train=4, val=2)
  for split in ('train', 'val'):
    (other / split / 'third').mkdir()
    for file in (other / split / 'temple').iterdir():
      (other / split / 'third' / file.name).write_bytes(file.read_bytes())
  path = trained / 'checkpoints' / 'latest' / '12'
  result = command.run(
    *on(other),
    f'--config.finetune.checkpoint={path}',
    '--config.finetune.new_head=False',
    f'--workdir={tmp_path / "run"}',
  )
  assert result.returncode == 2
  assert '2 classes' in result.stderr
  assert '3' in result.stderr
  assert 'new_head=True' in result.stderr


BAD = [
  ('no folder', ['--config.dataset.folder='], ['--config.dataset.folder=DIR']),
  ('no mean', ['--config.dataset.mean=pixel'], ['mean_image', 'mean-224.npz']),
  ('small side', ['--config.test.shorter_side=9'], ['shorter_side', '16']),
  ('pad', ['--config.augment.pad=4'], ['pad', 'crop_size']),
  ('views', ['--config.test.views=tencrop'], ["did you mean 'ten_crop'"]),
  ('parts', ['--config.run.microbatches=3'], ['microbatches', '8 examples']),
  ('groups', ['--config.run.microbatches=4'], ['BN groups of 4']),
  ('frozen', ['--config.finetune.frozen_stages=9'], ['0 to 4']),
  (
    'no such checkpoint',
    ['--config.finetune.checkpoint=nowhere/3'],
    ['nowhere/3', 'SERIES/STEP'],
  ),
]


@pytest.mark.parametrize(
  ('words', 'telling'), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_bad_fields_are_refused_at_once(folder, tmp_path, words, telling):
  result = command.run(*on(folder), *words, f'--workdir={tmp_path}')
  assert result.returncode == 2, result.stdout
  assert 'Traceback' not in result.stderr
  for word in telling:
    assert word in result.stderr
  assert not (tmp_path / 'checkpoints' / 'latest' / '5').exists()


@pytest.mark.slow
def test_the_mean_image_is_the_mean_of_centre_crops(folder, tmp_path):
  file = tmp_path / 'mean.npz'
  words = (*on(folder), f'--config.dataset.mean_file={file}')
  command.run_well(*words, '--mode=mean_image')
  from configs import finetune_folder
  from resnet_jax.data.streamed.sources import load_pictures
  from resnet_jax.data.streamed.view_reader import ViewReader
  from resnet_jax.data.views import Views

  dataset = finetune_folder.get_config().dataset
  dataset.folder = str(folder)
  reader = ViewReader(
    load_pictures(dataset).splits['train'],
    antialias=True,
    max_damaged=0,
    host=0,
    hosts=1,
  )
  (part,) = reader.parts(Views('single', (19,), 16), batch_size=18)
  mean = part.images[:, 0].astype(np.float64).mean(0)
  with np.load(file) as content:
    np.testing.assert_allclose(content['mean'], mean, rtol=1e-6)
    made_of = content['made_of']
  written = file.stat().st_mtime_ns
  assert 'is there already' in command.run_well(*words, '--mode=mean_image')
  assert file.stat().st_mtime_ns == written

  pixel = '--config.dataset.mean=pixel'
  result = command.run(*words, pixel, '--config.test.shorter_side=20')
  assert result.returncode == 2
  assert 'shorter side 19' in result.stderr
  assert 'shorter side 20' in result.stderr
  np.savez(file, mean=mean[:8], made_of=made_of)
  result = command.run(*words, pixel)
  assert result.returncode == 2
  assert '[8, 16, 3]' in result.stderr
  assert '[16, 16, 3]' in result.stderr


@pytest.mark.slow
def test_a_run_is_not_continued_from_other_weights(trained, folder, tmp_path):
  words = (*on(folder), '--config.duration=2', f'--workdir={tmp_path}')
  command.run_well(*words)
  path = trained / 'checkpoints' / 'latest' / '12'
  result = command.run(*words, f'--config.finetune.checkpoint={path}')
  assert result.returncode == 2
  assert f'did not start from {path}' in result.stderr


def test_a_csv_that_cannot_be_written_is_told_before_the_work(trained, folder):
  result = command.run(
    *on(folder),
    '--mode=eval',
    f'--workdir={trained}',
    '--per_class=/nowhere/classes.csv',
  )
  assert result.returncode == 2
  assert '--per_class=/nowhere/classes.csv cannot be written' in result.stderr
