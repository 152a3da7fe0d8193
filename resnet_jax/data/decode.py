"""Decodes only the window of a picture that a crop shows, and resamples it.

TensorFlow operations throughout, for the function of a tf.data map. The window
is chosen first (windows.py), from the size in the header. Most of the cost is
the decoder's; pixels outside of the window are not transformed, and rows below
it are not even read.
"""

import functools

import tensorflow as tf

from resnet_jax.data import exif
from resnet_jax.data.windows import Window

# libjpeg-turbo's fast DCT saves nothing that could be measured.
_DCT = 'INTEGER_ACCURATE'
# The decoder interpolates chroma without a view of what lies outside: in this
# many columns at the edges of a part it may differ from the whole picture.
_BLUR = 1


def upright_size(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Size of a picture as it is to be seen, after its EXIF orientation.

  Args:
    contents: a JPEG, of which only the header is read, or a PNG, BMP or GIF,
      which is decoded; a string scalar.

  Returns:
    Height and width, int32 scalars.

  Raises:
    tf.errors.InvalidArgumentError: it is no such file, or damaged.
  """

  size = tf.cond(
    _is_plain_jpeg(contents),
    lambda: tf.image.extract_jpeg_shape(contents)[:2],
    lambda: _rare_size(contents),
  )
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
  """The window of a picture, at a size.

  A window of floats gives, up to rounding, what resizing the whole picture and
  cropping it would give: at its edges it mixes in pixels just outside. One of
  integers is cut out and then resized, as a crop of Szegedy et al. (2015) is;
  without `antialias` that is faster (README of benchmarks).

  Args:
    contents: a JPEG (grey, RGB or CMYK), PNG, BMP or GIF (its first frame); a
      string scalar. Alpha is dropped.
    window: inside the picture after its EXIF orientation (`upright_size`).
    height: of the result.
    width: of the result.
    antialias: where the window shrinks, average over all of its pixels
      (a triangle filter, as Pillow's BILINEAR) instead of the nearest four.

  Returns:
    uint8 [height, width, 3], rounded to nearest, halves up.

  Raises:
    tf.errors.InvalidArgumentError: the file is damaged.
  """
  corner = tf.stack([window.top, window.left])
  extent = tf.stack([window.height, window.width])
  known = (contents, corner, extent, (height, width), antialias)
  if corner.dtype.is_integer:
    pixels = _cut_and_resize(*known)
  else:
    pixels = _scale(*known)
  # All weights are positive and add up to 1: nothing leaves [0, 255].
  return tf.reshape(tf.cast(pixels + 0.5, tf.uint8), [height, width, 3])


def _cut_and_resize(
  contents: tf.Tensor,
  corner: tf.Tensor,
  extent: tf.Tensor,
  size: tuple[int, int],
  antialias: bool,
) -> tf.Tensor:
  end = corner + extent
  part, start = _decode_part(
    contents, tf.maximum(corner - _BLUR, 0), end + _BLUR
  )
  begin = tf.concat([corner - start, [0]], 0)
  cut = tf.slice(part, begin, tf.concat([extent, [3]], 0))
  return tf.image.resize(cut, size, antialias=antialias)


def _scale(
  contents: tf.Tensor,
  corner: tf.Tensor,
  extent: tf.Tensor,
  size: tuple[int, int],
  antialias: bool,
) -> tf.Tensor:
  # From the outermost samples, half a step inside the window, the filter
  # reaches one step, or one pixel if that is more; pixels count from centres.
  step = extent / tf.cast(tf.stack(size), tf.float32)
  margin = 1.5 + _BLUR + 0.5 * step if antialias else 1.5 + _BLUR
  # Casts cut off what follows the point: a little more than needed, for less.
  first = tf.cast(tf.maximum(corner - margin, 0), tf.int32)
  last = tf.cast(corner + extent + (margin + 1), tf.int32)
  part, start = _decode_part(contents, first, last)
  scale = 1 / step
  return tf.raw_ops.ScaleAndTranslate(
    images=part[tf.newaxis],
    size=size,
    scale=scale,
    translation=(tf.cast(start, tf.float32) - corner) * scale,
    kernel_type='triangle',
    antialias=antialias,
  )


def _decode_part(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """The part from pixel `first` to before `last`, and where it starts.

  Args:
    contents: the file.
    first: int32 [2], not negative.
    last: int32 [2], may lie beyond the picture.

  Returns:
    The part, or for other formats than JPEG the whole, uint8 [h, w, 3], and
    its first pixel in the whole, int32 [2].
  """

  def plain() -> tuple[tf.Tensor, tf.Tensor]:
    size = tf.image.extract_jpeg_shape(contents)[:2]
    return _decode_jpeg(contents, first, tf.minimum(last, size)), first

  return tf.cond(
    _is_plain_jpeg(contents), plain, lambda: _rare_part(contents, first, last)
  )


# The branches for rare files are functions that TensorFlow does not inline: it
# passes through every operation of a branch, taken or not.
_rare = functools.partial(
  tf.function, experimental_attributes={'_noinline': True}
)


def _is_plain_jpeg(contents: tf.Tensor) -> tf.Tensor:
  return tf.io.is_jpeg(contents) & ~exif.has_exif(contents)


@_rare
def _rare_size(contents: tf.Tensor) -> tf.Tensor:
  def jpeg() -> tf.Tensor:
    size = tf.image.extract_jpeg_shape(contents)[:2]
    return _turned_size(size, exif.orientation(contents))

  return tf.cond(
    tf.io.is_jpeg(contents),
    jpeg,
    lambda: tf.shape(_decode_other(contents))[:2],
  )


@_rare
def _rare_part(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  return tf.cond(
    tf.io.is_jpeg(contents),
    lambda: _decode_turned(contents, first, last),
    lambda: (_decode_other(contents), tf.zeros([2], tf.int32)),
  )


def _decode_jpeg(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  box = tf.concat([first, last - first], 0)
  return tf.image.decode_and_crop_jpeg(
    contents, box, channels=3, dct_method=_DCT
  )


def _decode_turned(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """`_decode_part` of a JPEG with an EXIF orientation."""
  # Each is a transposition or none, then a flip of each axis or none.
  turn = exif.orientation(contents)
  transposed = turn >= 5
  flips = tf.gather(_FLIPS, turn)
  size = tf.image.extract_jpeg_shape(contents)[:2]
  upright = _turned_size(size, turn)
  last = tf.minimum(last, upright)
  from_ = tf.where(flips, upright - last, first)
  to = tf.where(flips, upright - first, last)
  part = _decode_jpeg(
    contents,
    tf.where(transposed, from_[::-1], from_),
    tf.where(transposed, to[::-1], to),
  )
  part = tf.transpose(part, tf.where(transposed, [1, 0, 2], [0, 1, 2]))
  dims = tf.concat([flips, [False]], 0)
  return tf.raw_ops.Reverse(tensor=part, dims=dims), first


def _turned_size(size: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
  return tf.where(turn >= 5, size[::-1], size)


# By EXIF orientation; 0 is none.
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


def _decode_other(contents: tf.Tensor) -> tf.Tensor:
  picture = tf.io.decode_image(contents, channels=3, expand_animations=False)
  return tf.ensure_shape(picture, [None, None, 3])
