"""The orientation that a camera wrote into a JPEG, and turning by it.

JEITA CP-3451 (Exif 2.32), Sec. 4.6.4: tag 0x0112, one SHORT, says how the
stored picture has to be turned. TensorFlow's decoders do not look at it. These
are TensorFlow operations.
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

# Whether the rows, and whether the columns, are reversed to turn a picture
# upright, by orientation; from 5 on it is transposed before. 0 is none.
_FLIPS = (
  (False, False),
  (False, False),
  (False, True),
  (True, True),
  (True, False),
  (False, False),
  (False, True),
  (True, True),
  (True, False),
)


def orientation(contents: tf.Tensor) -> tf.Tensor:
  """The EXIF orientation of a JPEG.

  Args:
    contents: The file, a string scalar.

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


def turned_size(size: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
  """Height and width, int32 [2], once a picture is turned upright, or back."""
  return tf.where(orientation >= 5, size[::-1], size)


def stored_box(
  first: tf.Tensor, last: tf.Tensor, size: tf.Tensor, orientation: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Where a box of the upright picture lies in the stored one.

  Args:
    first: Row and column of its first pixel, int32 [2].
    last: Row and column behind its last pixel, int32 [2]; the box ends with the
      picture where these lie beyond.
    size: Height and width of the stored picture, int32 [2].
    orientation: 1 to 8, int32 scalar.

  Returns:
    `first` and `last` in the stored picture.
  """
  upright = turned_size(size, orientation)
  last = tf.minimum(last, upright)
  flips = tf.gather(_FLIPS, orientation)
  begin = tf.where(flips, upright - last, first)
  end = tf.where(flips, upright - first, last)
  return turned_size(begin, orientation), turned_size(end, orientation)


def turn(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
  """The stored picture or a box of it, [h, w, c], turned upright."""
  axes = tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2])
  dims = tf.concat([tf.gather(_FLIPS, orientation), [False]], 0)
  return tf.raw_ops.Reverse(tensor=tf.transpose(picture, axes), dims=dims)


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
  """The text behind the first `mark`, and whether there is one."""
  parts = tf.raw_ops.StringSplitV2(input=[text], sep=mark, maxsplit=1).values
  return parts[-1], tf.size(parts) > 1
