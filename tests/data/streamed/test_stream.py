"""Damaged pictures: named, replaced, counted, and resumed with."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.data.streamed.sources import load_pictures
from resnet_jax.data.streamed.stream import Stream
from resnet_jax.data.views import Views
from resnet_jax.errors import PassingError, UserError
from tests.data.streamed.pictures import (
  CLASSES,
  CROP,
  batches,
  config_of,
  equal,
  feed,
  photographs,
  reader,
  write_folder,
)

tf = pytest.importorskip('tensorflow')


@pytest.fixture
def damaged(tmp_path):
  """A folder of its own, in which training picture 3 is cut short."""
  folder = write_folder(tmp_path / 'damaged')
  return folder, cut_short(folder, 200)


def cut_short(folder, size):
  file = folder / 'train' / CLASSES[0] / '003.JPEG'
  file.write_bytes(file.read_bytes()[:size])
  return file


@dataclasses.dataclass(frozen=True)
class Renamed:
  """Records in which some examples are others."""

  records: FileRecords
  other: dict

  def __len__(self):
    return len(self.records)

  def keys(self, ids):
    return self.records.keys(np.array([self.other.get(i, i) for i in ids]))

  def read(self, *key):
    return self.records.read(*key)


def test_what_is_damaged_is_named_and_replaced_by_the_next(damaged, caplog):
  folder, file = damaged
  seen = batches(folder, range(5))
  good = load_pictures(config_of(folder).dataset).splits['train']
  for batch in seen:
    for index, label in zip(batch['ids'], batch['labels'], strict=True):
      assert label == good.labels[index]
  assert f'{file} is left out (1 so far): it is cut short (JPEG)' in caplog.text
  step = next(k for k, b in enumerate(seen) if 3 in b['ids'])
  # A run that opens after or at the damage trains on the same.
  for k in range(5):
    assert equal(feed(folder).host_batch(k), seen[k])
  place = int(np.flatnonzero(seen[step]['ids'] == 3)[0])
  # The next picture takes its place, cut by the damaged one's seed.
  one = feed(folder, records=Renamed(good, {3: 4})).host_batch(step)
  assert equal(one, seen[step])
  assert not np.array_equal(
    one['images'][place], np.zeros_like(one['images'][place])
  )


@pytest.mark.slow
def test_a_picture_that_is_damaged_below_some_crops_is_resumed_with(tmp_path):
  from PIL import Image

  folder = write_folder(tmp_path / 'damaged')
  file = folder / 'train' / CLASSES[0] / '003.JPEG'
  Image.fromarray(photographs()[0][:200, :150]).save(file, quality=90)
  cut_short(folder, file.stat().st_size // 2)
  steps = range(0, 27, 2)
  running = dict(zip(steps, batches(folder, steps), strict=True))
  images = [
    b['images'][list(b['ids']).index(3)]
    for b in running.values()
    if 3 in b['ids']
  ]
  assert len(images) > 4
  for step in steps:
    assert equal(feed(folder).host_batch(step), running[step]), step


def test_too_much_damage_is_an_error_that_names_it(damaged):
  folder, file = damaged
  config = config_of(folder)
  config.dataset.max_damaged = 0
  with pytest.raises(UserError, match=f'1 of 18 .*max_damaged is 0: {file}'):
    batches(folder, range(3), config=config)


def test_damage_is_not_counted_in_tests(damaged):
  folder, _ = damaged
  parts = list(
    reader(folder, 'train').parts(Views('single', (19,), CROP), batch_size=4)
  )
  ids = np.concatenate([part.ids for part in parts])
  np.testing.assert_array_equal(np.sort(ids[ids >= 0]), np.delete(range(18), 3))


def test_the_reason_is_the_pictures(tmp_path, caplog):
  folder = write_folder(tmp_path / 'set')
  bad = {
    '002.JPEG': (b'', 'it is empty'),
    '003.JPEG': (b'<html>', 'it is a web page, which is not read'),
    '004.JPEG': (b'\0\0\0\x20ftypavif' + bytes(40), 'it is AVIF, which is not'),
  }
  config = config_of(folder)
  found = load_pictures(config.dataset).splits['train']
  for name, (contents, _) in bad.items():
    file = folder / 'train' / CLASSES[1] / name
    file.write_bytes(contents)
  batches(folder, range(3), config=config, records=found)
  for name, (_, reason) in bad.items():
    (line,) = (r.getMessage() for r in caplog.records if name in r.getMessage())
    assert f': {reason}' in line
    assert 'File "' not in line and 'python' not in line


def test_a_file_that_disappears_is_no_damage(tmp_path):
  folder = write_folder(tmp_path / 'set')
  ours = feed(folder)
  ours.host_batch(0)
  for file in folder.glob('train/*/*.JPEG'):
    file.unlink()
  with pytest.raises(UserError, match=r'\.JPEG has gone since .*put it back'):
    for step in range(1, 12):  # past what was read ahead
      ours.host_batch(step)


def test_a_disk_that_fails_is_no_damage(tmp_path, monkeypatch):
  """The error is the one that TensorFlow 2.21 makes of EIO."""
  folder = write_folder(tmp_path / 'set')
  file = folder / 'train' / CLASSES[1] / '003.JPEG'

  def read(self, path, label):
    def contents(path):
      if path.numpy() == str(file).encode():
        raise tf.errors.UnknownError(None, None, f'{file}; Input/output error')
      return tf.io.read_file(path)

    return tf.py_function(contents, [path], tf.string), label

  monkeypatch.setattr(FileRecords, 'read', read)
  reason = r'003\.JPEG cannot be read from the disk \(Input/output error\)'
  with pytest.raises(PassingError, match=reason):
    batches(folder, range(3))


def test_a_damaged_picture_stops_the_stream_once(damaged, monkeypatch):
  folder, _ = damaged
  opened = []
  real = Stream._open
  monkeypatch.setattr(
    Stream, '_open', lambda self, *a: opened.append(0) or real(self, *a)
  )
  # Seven epochs, in each of which it is cut otherwise.
  batches(folder, range(15))
  assert len(opened) == 2


@pytest.mark.slow
def test_an_unfinished_stream_does_not_hold_up_the_end(tmp_path):
  folder = write_folder(tmp_path / 'set')
  for file in folder.glob('train/*/*.JPEG'):
    Image.open(file).save(file.with_suffix('.webp'))
    file.unlink()
  code = (
    'from tests.data.streamed.pictures import feed\n'
    f'feed({str(folder)!r}).host_batch(0)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], timeout=60, stderr=subprocess.PIPE, check=True
  )
  assert b'Traceback' not in done.stderr and b'terminate' not in done.stderr
