"""Every format and form, pixel by pixel, by Pillow; and what is refused."""

import collections

import numpy as np
import pytest

from resnet_jax.data.streamed import pillow
from tests.damaged import damaged
from tests.data.streamed import formats

pytest.importorskip('tensorflow')

SEEDS = 400


@pytest.fixture(scope='module')
def files():
  return formats.all_files()


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'BMP', 'GIF', 'WebP', 'TIFF'])
def test_pixels_are_pillows(files, kind):
  wrong = []
  for name, contents in files.items():
    if not name.startswith(kind):
      continue
    # libjpeg-turbo rounds apart in its versions; all else is Pillow's own.
    most, mean = formats.difference(contents)
    if most > (3 if kind == 'JPEG' else 0) or mean > 0.3:
      wrong.append((name, most, mean))
    # A small set is read by Pillow alone.
    if formats.difference(contents, pillow.upright(contents))[0]:
      wrong.append((name, 'upright'))
  assert not wrong


def test_lossless_pixels_are_what_was_written():
  pixels = np.asarray(formats.photograph())
  files = formats.all_files()
  for name in ('PNG RGB', 'PNG 16 bits, RGB', 'PNG interlaced', 'BMP 24 bits',
               'BMP from the top', 'WebP lossless', 'TIFF LZW'):  # fmt: skip
    np.testing.assert_array_equal(formats.ours(files[name]), pixels, name)
  turned = formats.ours(files['PNG orientation 6'])
  np.testing.assert_array_equal(turned, np.rot90(pixels, -1))


def test_what_is_refused_is_refused_by_name():
  import tensorflow as tf

  for name, (contents, telling) in formats.refused().items():
    assert telling in pillow.explain(contents), name
    with pytest.raises(tf.errors.OpError):
      formats.ours(contents)


def test_records_of_tfds_are_read_alike(files, tmp_path):
  import tensorflow as tf

  from resnet_jax.data.streamed.tfrecords import TFRecords

  file = str(tmp_path / 'one.tfrecord')
  with tf.io.TFRecordWriter(file) as writer:
    for contents in files.values():
      image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents]))
      label = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
      features = tf.train.Features(feature={'image': image, 'label': label})
      example = tf.train.Example(features=features)
      writer.write(example.SerializeToString())
  records = TFRecords.of([file], image='image', label='label')
  assert len(records) == len(files)
  for index, contents in enumerate(files.values()):
    read, _ = records.read(*(key[0] for key in records.keys(np.array([index]))))
    assert read.numpy() == contents


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
def test_damaged_files_are_read_or_refused_in_one_line(files):
  found = collections.Counter()
  names = list(files)
  for seed in range(SEEDS):
    name = names[seed % len(names)]
    contents = damaged(files[name], seed)
    reason = pillow.explain(contents)
    found['read' if reason is None else 'refused'] += 1
    if reason is not None:
      assert reason.isprintable() and len(reason) < 300, (seed, reason)
      assert 'File "' not in reason, (seed, reason)
    elif name.startswith('PNG'):  # the one format with checksums
      whole = pillow.upright(files[name])
      np.testing.assert_array_equal(pillow.upright(contents), whole, str(seed))
  assert found['refused'] > 50


def test_ordinary_jpegs_cost_no_call_of_pillow(files, monkeypatch):
  import tensorflow as tf

  from resnet_jax.data.streamed import decode

  def refuse(contents):
    raise ValueError('Pillow was called')

  monkeypatch.setattr(pillow, 'look', refuse)
  size = tf.function(decode.upright_size)
  for name in ('baseline 4:2:0', 'progressive 4:2:0', 'grey', 'CMYK',
               'RGB components', 'restart markers'):  # fmt: skip
    assert [int(n) for n in size(files[f'JPEG {name}'])] == [61, 75]
  with pytest.raises(tf.errors.OpError, match='Pillow was called'):
    size(files['PNG RGB'])
