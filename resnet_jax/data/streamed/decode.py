"""Decodes only the window of a picture that a crop shows, and resamples it.

These are TensorFlow operations, for the function of a tf.data map. The window
is chosen first (windows.py), from the size in the header. Most of the cost is
the decoder's; pixels outside of the window are not transformed, and rows below
it are not even read.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from resnet_jax.data.streamed import pillow, resampling, turning
from resnet_jax.data.streamed.windows import Window

# libjpeg-turbo's fast DCT saves nothing that could be measured.
_DCT = 'INTEGER_ACCURATE'
# The start of a JPEG, its JFIF header's bytes, and the table behind it.
_JFIF = b'\xff\xd8\xff\xe0\x00\x10'
_JFIF_BYTES = 20
_TABLE = b'\xff\xdb'
# The start of a scan of three components, in five bytes that hardly stand in a
# segment by chance.
_SCAN = b'\xff\xda\x00\x0c\x03'
# Tables, frame and scan headers of a JPEG with nothing else end before this.
_HEAD_BYTES = 2048
# A part of a string must not begin behind its end.
_PADDING = bytes(32)
# Where a JPEG's orientation stands: Exif, or else XMP.
_ORIENTED = (b'Exif\x00\x00', b'tiff:Orientation')
_HEAD_ORIENTED = r'(?s)\C*(?:Exif|tiff:Orient)\C*'


class _Look(NamedTuple):
  """Stored size, orientation, and whether TensorFlow decodes the file."""

  size: tf.Tensor
  orientation: tf.Tensor
  jpeg: tf.Tensor


def upright_size(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Size of a picture once it is turned as its orientation says.

  Args:
    contents: A file of a format of `pillow.SUFFIXES`; a string scalar.

  Returns:
    Height and width, int32 scalars.

  Raises:
    tf.errors.OpError: it is of another kind, or damaged.
  """
  look = _look(contents)
  size = turning.turned_size(look.size, look.orientation)
  height, width = tf.unstack(size, 2)
  return height, width


def resample(
  contents: tf.Tensor,
  window: Window,
  *,
  height: int | tf.Tensor,
  width: int | tf.Tensor,
  antialias: bool,
) -> tf.Tensor:
  """The window of a picture, resized to `height` x `width`.

  A window of floats gives, up to rounding, what resizing the whole picture and
  cropping it would give: at its edges it mixes in pixels just outside. A window
  of integers is cut out and then resized, as a crop of Szegedy et al. (2015)
  is: at its edges it repeats its own pixels. Without `antialias` that takes a
  tenth less time, decoding included; with it both take the same.

  Args:
    contents: A file of a format of `pillow.SUFFIXES`; a string scalar. Alpha
      is dropped, and of several pictures in it the first is taken.
    window: Inside the picture once it is turned upright (`upright_size`).
    height, width: Size of the result.
    antialias: Where the window shrinks, average over all of its pixels
      (a triangle filter, as Pillow's BILINEAR) instead of the nearest four.

  Returns:
    uint8 [height, width, 3], rounded to nearest, halves up.

  Raises:
    tf.errors.OpError: the file is damaged.
  """
  part = functools.partial(_decode_part, contents)
  return resampling.resample(part, window, (height, width), antialias)


def sample(
  contents: tf.Tensor,
  choose: Callable[[tuple[tf.Tensor, tf.Tensor]], Window],
  *,
  height: int,
  width: int,
  antialias: bool,
) -> tf.Tensor:
  """`resample` of the window that `choose` returns for the `upright_size`.

  The header is read only once. Other arguments, result and errors are those of
  `resample`.
  """
  look = _look(contents)

  def plain() -> tf.Tensor:
    rows, columns = tf.unstack(look.size, 2)
    part = functools.partial(_decode_jpeg, contents, look.size)
    window = choose((rows, columns))
    return resampling.resample(part, window, (height, width), antialias)

  @_rare
  def rare(contents: tf.Tensor, look: _Look) -> tf.Tensor:
    size = turning.turned_size(look.size, look.orientation)
    rows, columns = tf.unstack(size, 2)
    part = functools.partial(_turned_part, contents, look)
    window = choose((rows, columns))
    return resampling.resample(part, window, (height, width), antialias)

  return tf.cond(_is_plain(look), plain, lambda: rare(contents, look))


def _decode_part(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  """The upright picture from pixel `first` to before `last`.

  Args:
    contents: The file.
    first: int32 [2], not negative.
    last: int32 [2]; where it lies beyond the picture, the part ends there.

  Returns:
    uint8 [h, w, 3].
  """
  look = _look(contents)
  return tf.cond(
    _is_plain(look),
    lambda: _decode_jpeg(contents, look.size, first, last),
    lambda: _rare_part(contents, look, first, last),
  )


# Functions for rare files, which TensorFlow does not inline: it would otherwise
# pass through every operation of a branch, even of one that is not taken.
_rare = functools.partial(
  tf.function, experimental_attributes={'_noinline': True}
)


def _look(contents: tf.Tensor) -> _Look:
  """Looks at a file, which takes some 10 us for most JPEGs.

  Most have a JFIF header, tables behind it, and a scan before anything that
  could be an orientation. Others are searched for one as a whole. At what may
  have one, and at other formats, `pillow.look` looks, which takes longer.
  """
  head = tf.strings.substr(contents, 0, _HEAD_BYTES)
  head = tf.strings.join([head, _PADDING])
  scan = tf.raw_ops.StringSplitV2(input=[head], sep=_SCAN, maxsplit=1).values
  usual = (
    tf.equal(tf.strings.substr(head, 0, len(_JFIF)), _JFIF)
    & tf.equal(tf.strings.substr(head, _JFIF_BYTES, len(_TABLE)), _TABLE)
    & (tf.size(scan) > 1)
    & ~tf.strings.regex_full_match(head, _HEAD_ORIENTED)
  )

  def unturned() -> tf.Tensor:
    pieces = [
      tf.raw_ops.StringSplitV2(input=[contents], sep=mark, maxsplit=1).values
      for mark in _ORIENTED
    ]
    found = [tf.size(piece) > 1 for piece in pieces]
    return tf.io.is_jpeg(contents) & ~(found[0] | found[1])

  def quickly() -> tf.Tensor:
    shape = tf.image.extract_jpeg_shape(contents)
    # JFIF has no fourth component, and a decoder has to guess what it is.
    jpeg = tf.cast(shape[2:] < 4, tf.int32)
    return tf.concat([shape[:2], [1], jpeg], 0)

  def by_pillow() -> tf.Tensor:
    seen = tf.numpy_function(pillow.look, [contents], tf.int32, stateful=False)
    return tf.ensure_shape(seen, [4])

  simple = tf.cond(usual, lambda: tf.constant(True), unturned)
  seen = tf.cond(simple, quickly, by_pillow)
  return _Look(seen[:2], seen[2], seen[3] > 0)


def _is_plain(look: _Look) -> tf.Tensor:
  return look.jpeg & (look.orientation == 1)


@_rare
def _rare_part(
  contents: tf.Tensor, look: _Look, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  return _turned_part(contents, look, first, last)


def _turned_part(
  contents: tf.Tensor, look: _Look, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  """`_decode_part` of any file that `pillow.look` has looked at."""
  size, orientation, jpeg = look
  begin, end = turning.stored_box(first, last, size, orientation)

  def by_pillow() -> tf.Tensor:
    picture = tf.numpy_function(
      pillow.decode, [contents], tf.uint8, stateful=False
    )
    picture = tf.ensure_shape(picture, [None, None, 3])
    return picture[begin[0] : end[0], begin[1] : end[1]]

  part = tf.cond(
    jpeg, lambda: _decode_jpeg(contents, size, begin, end), by_pillow
  )
  return turning.turn(part, orientation)


def _decode_jpeg(
  contents: tf.Tensor, size: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  """The JPEG of `size` as it is stored, from `first` to before `last`."""
  last = tf.minimum(last, size)
  box = tf.concat([first, last - first], 0)
  return tf.image.decode_and_crop_jpeg(
    contents, box, channels=3, dct_method=_DCT
  )
