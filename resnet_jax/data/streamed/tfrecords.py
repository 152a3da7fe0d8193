"""Random access to the examples of TFRecord files.

TFDS writes TFRecords, which are made to be read from the front. A table of the
places of all records lets a shuffled epoch be opened anywhere.
"""

import dataclasses
import os
import struct
from typing import Any

import numpy as np

from resnet_jax.errors import UserError

# A record: length, 8 bytes; its checksum, 4; the content; its checksum, 4.
_HEADER, _FOOTER = 12, 4
# Bytes that are read at a time: most pictures are smaller.
_BUFFER = 256 * 1024


@dataclasses.dataclass(frozen=True)
class TFRecords:
  """`records.Records` in TFRecord files.

  Attributes:
    files: Paths of the files.
    spans: int64 [examples, 2]: number of the file, and the byte of it at which
      the record begins.
    image, label: Names of the features in a `tf.train.Example`.
  """

  files: tuple[str, ...]
  spans: np.ndarray
  image: str
  label: str

  @classmethod
  def of(cls, files: list[str], *, image: str, label: str) -> 'TFRecords':
    """All records of `files`, in their order.

    Raises:
      UserError: a file is missing, is no TFRecord file, or is cut short.
    """
    spans = [
      (number, start)
      for number, file in enumerate(files)
      for start in _starts(file)
    ]
    table = np.array(spans, np.int64).reshape(-1, 2)
    return cls(tuple(files), table, image, label)

  def __len__(self) -> int:
    return len(self.spans)

  def take(self, ids: np.ndarray) -> 'TFRecords':
    return dataclasses.replace(self, spans=self.spans[ids])

  def name(self, index: int) -> str:
    number, start = self.spans[index]
    return f'{self.files[number]}, record at byte {start}'

  def keys(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
    return (self.spans[ids],)

  def read(self, span: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    # tf.data.TFRecordDataset cannot begin inside a file; its operation can.
    records = tf.raw_ops.TFRecordDatasetV2(
      filenames=[tf.gather(self.files, span[0])],
      compression_type='',
      buffer_size=_BUFFER,
      byte_offsets=[span[1]],
    )
    kind = tf.TensorSpec((), tf.string)
    records = tf.data.experimental.from_variant(records, kind)
    record = records.take(1).get_single_element()
    features = {
      self.image: tf.io.FixedLenFeature((), tf.string),
      self.label: tf.io.FixedLenFeature((), tf.int64),
    }
    example = tf.io.parse_single_example(record, features)
    return example[self.image], tf.cast(example[self.label], tf.int32)


def _starts(path: str) -> list[int]:
  """The bytes of the file at which its records begin."""
  starts, start = [], 0
  try:
    with open(path, 'rb', buffering=0) as file:
      end = os.fstat(file.fileno()).st_size
      while start < end:
        header = os.pread(file.fileno(), 8, start)
        length = struct.unpack('<Q', header)[0] if len(header) == 8 else end
        after = start + _HEADER + length + _FOOTER
        if after > end:
          raise UserError(
            f'{path} is no TFRecord file, or was cut short: a record that '
            f'begins at byte {start} would end at {after}, and the file ends '
            f'at {end}. Prepare the set anew'
          )
        starts.append(start)
        start = after
  except OSError as e:
    raise UserError(f'{path} cannot be read: {e.strerror}') from e
  return starts
