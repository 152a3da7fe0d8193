"""Examples in TFRecord files, against the same pictures in files."""

import pathlib

import numpy as np
import pytest

from resnet_jax.data.streamed.sources import load_pictures
from resnet_jax.data.streamed.tfrecords import TFRecords
from resnet_jax.errors import UserError
from tests.data.streamed.pictures import TRAIN, batches, config_of, equal

pytest.importorskip('tensorflow')


def test_tfrecords_give_the_batches_of_the_files(folder, tmp_path):
  import tensorflow as tf

  records = load_pictures(config_of(folder).dataset).splits['train']
  files = [str(tmp_path / f'{i}.tfrecord') for i in range(2)]
  for number, file in enumerate(files):
    with tf.io.TFRecordWriter(file) as writer:
      for i in range(number * 10, min(TRAIN, number * 10 + 10)):
        content = pathlib.Path(records.name(i)).read_bytes()
        label = int(records.labels[i])
        example = tf.train.Example(
          features=tf.train.Features(
            feature={
              'image': tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[content])
              ),
              'label': tf.train.Feature(
                int64_list=tf.train.Int64List(value=[label])
              ),
            }
          )
        )
        writer.write(example.SerializeToString())
  table = TFRecords.of(files, image='image', label='label')
  assert len(table) == TRAIN
  ours = batches(folder, range(3), records=table)
  assert all(map(equal, ours, batches(folder, range(3))))

  with open(files[1], 'r+b') as file:
    file.truncate(file.seek(0, 2) - 1)
  with pytest.raises(UserError, match='cut short'):
    TFRecords.of(files, image='image', label='label')


def test_a_record_is_read_without_what_lies_before_it(folder, tmp_path):
  import tensorflow as tf

  file = tmp_path / 'large.tfrecord'
  example = tf.train.Example(
    features=tf.train.Features(
      feature={
        'image': tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[b'x' * 1000])
        ),
        'label': tf.train.Feature(int64_list=tf.train.Int64List(value=[7])),
      }
    )
  )
  with tf.io.TFRecordWriter(str(file)) as writer:
    writer.write(example.SerializeToString())
  record = file.read_bytes()
  with file.open('r+b') as handle:  # a hole of 2 GB before it
    handle.seek(2**31)
    handle.write(record)
  table = TFRecords((str(file),), np.array([[0, 2**31]]), 'image', 'label')
  before = bytes_read()
  contents, label = table.read(tf.constant([0, 2**31], tf.int64))
  assert (contents.numpy(), int(label)) == (b'x' * 1000, 7)
  assert bytes_read() - before < 2**22


def bytes_read():
  text = pathlib.Path('/proc/self/io').read_text()
  return int(text.split()[1])
