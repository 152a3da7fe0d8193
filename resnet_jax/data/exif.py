"""The orientation that a camera wrote into a JPEG, in TensorFlow operations.

JEITA CP-3451 (Exif 2.32), Sec. 4.6.4: tag 0x0112, one SHORT, says how the
stored picture has to be turned. TensorFlow's decoders do not look at it.
"""

import tensorflow as tf

# Exif comes first in the file, or after a JFIF header of 18 bytes.
_HEADER_BYTES = 28
_HEADER = r'(?s)\C{6}(?:\C{18})?Exif\C*'
# Its first directory, which holds the tag, is at its start.
_SEARCHED_BYTES = 4096
# An entry up to its value: tag 0x0112, type 3 (SHORT), count 1.
_LITTLE_ENDIAN_ENTRY = b'\x12\x01\x03\x00\x01\x00\x00\x00'
_BIG_ENDIAN_ENTRY = b'\x01\x12\x00\x03\x00\x00\x00\x01'


def orientation(contents: tf.Tensor) -> tf.Tensor:
  """The EXIF orientation of a JPEG.

  Args:
    contents: the file, a string scalar.

  Returns:
    1 to 8, int32 scalar; 1 (upright) where the first 4 kB say nothing valid.
  """
  return tf.cond(
    has_exif(contents), lambda: _search(contents), lambda: tf.constant(1)
  )


def has_exif(contents: tf.Tensor) -> tf.Tensor:
  """Whether Exif stands where it should in a JPEG; bool scalar, in 2 us."""
  header = tf.strings.substr(contents, 0, _HEADER_BYTES)
  return tf.strings.regex_full_match(header, _HEADER)


def _search(contents: tf.Tensor) -> tf.Tensor:
  head = tf.strings.substr(contents, 0, _SEARCHED_BYTES)
  exif, _ = _after(head, b'Exif\x00\x00')
  little = tf.equal(tf.strings.substr(exif, 0, 2), b'II')
  entry = tf.where(little, _LITTLE_ENDIAN_ENTRY, _BIG_ENDIAN_ENTRY)
  value, found = _after(exif, entry)
  low, high = tf.unstack(tf.io.decode_raw(value, tf.uint8, fixed_length=2))
  number = tf.cast(tf.where(little, low, high), tf.int32)
  return tf.where(found & (number >= 1) & (number <= 8), number, 1)


def _after(text: tf.Tensor, mark: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """What follows the first `mark`, and whether there is one."""
  parts = tf.raw_ops.StringSplitV2(input=[text], sep=mark, maxsplit=1).values
  return parts[-1], tf.size(parts) > 1
