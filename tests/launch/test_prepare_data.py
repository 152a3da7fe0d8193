"""launch/prepare_data.py says of every kind of data whether it is whole."""

import numpy as np
import pytest
from PIL import Image

from tests import command

LAUNCH = command.ROOT / 'launch'


def prepare_data(*words):
  result = command.run_fork('prepare_data', words, first_on_path=LAUNCH)
  assert 'Traceback' not in result.stderr, result.stderr
  return result


@pytest.fixture
def folder(tmp_path):
  """20 pictures of noise, whose sizes differ."""
  noise = np.random.default_rng(0)
  for place in ('train/cat', 'train/dog', 'val/cat', 'val/dog'):
    (tmp_path / place).mkdir(parents=True)
    for i in range(5):
      pixels = noise.integers(0, 256, (30, 40 + i, 3), np.uint8)
      Image.fromarray(pixels).save(tmp_path / place / f'{i}.jpg')
  return tmp_path


@pytest.mark.slow
def test_damaged_pictures_of_a_folder_are_named(folder):
  bad = [folder / 'train' / 'dog' / '3.jpg', folder / 'val' / 'cat' / '0.jpg']
  for file in bad:
    file.write_bytes(file.read_bytes()[:-200])
  (folder / 'train' / 'cat' / 'notes.txt').write_text('no picture')
  result = prepare_data('folder', folder)
  assert result.returncode == 2, result.stderr
  for file in bad:
    assert f'{file} is left out' in result.stdout
  assert result.stdout.count('it is cut short') == 2
  assert '1 .txt' in result.stdout
  assert 'train: 10 pictures in 2 classes, 5 (cat) to 5' in result.stdout
  assert f'{folder} is not whole' in result.stderr
  assert '1 train, 1 validation' in result.stderr


@pytest.mark.slow
def test_a_whole_folder(folder):
  result = prepare_data('folder', folder)
  assert result.returncode == 0, result.stderr
  assert f'{folder} is whole: 10 train, 10 validation' in result.stdout


def test_npz_is_read_as_in_training(digits_npz, tmp_path):
  result = prepare_data('npz', digits_npz)
  assert result.returncode == 0, result.stderr
  assert 'is whole: 150 train, 37 test images of 8x8x1' in result.stdout
  cut = tmp_path / 'cut.npz'
  cut.write_bytes(digits_npz.read_bytes()[:-500])
  result = prepare_data('npz', cut)
  assert result.returncode == 2
  assert str(cut) in result.stderr


def test_what_is_missing_is_said():
  for words in (('npz',), ('cifar10', 'DIR')):
    result = prepare_data(*words)
    assert result.returncode == 2
    assert 'a path behind it' in result.stderr or 'no path' in result.stderr


@pytest.mark.slow
def test_sets_of_tfds(tmp_path):
  """The digits are prepared without a network, and found afterwards."""
  words = 'digits', f'--data_dir={tmp_path}'
  first, second = prepare_data(*words), prepare_data(*words)
  assert first.returncode == second.returncode == 0, first.stderr
  assert 'digits is whole: 1,500 train, 297 test' in first.stdout
  assert second.stdout == first.stdout
  (record,) = tmp_path.glob('digits/*/*train*tfrecord*')
  content = bytearray(record.read_bytes())
  content[len(content) // 2] ^= 1
  record.write_bytes(content)
  damaged = prepare_data(*words)
  assert damaged.returncode == 2
  assert 'digits' in damaged.stderr
