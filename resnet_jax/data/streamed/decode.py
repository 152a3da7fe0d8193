"""Decodes only the window of a picture that a crop shows, and resamples it.

These are TensorFlow operations, for the function of a tf.data map. The window
is chosen first (windows.py), from the size in the header. Most of the cost is
the decoder's; pixels outside of the window are not transformed, and rows below
it are not even read.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from resnet_jax.data.streamed import exif, resampling
from resnet_jax.data.streamed.windows import Window

# libjpeg-turbo's fast DCT saves nothing that could be measured.
_DCT = 'INTEGER_ACCURATE'


def upright_size(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Size of a picture once it is turned as its EXIF orientation says.

  Args:
    contents: A JPEG, of which only the header is read, or a PNG, BMP or GIF,
      which is decoded; a string scalar.

  Returns:
    Height and width, int32 scalars.

  Raises:
    tf.errors.InvalidArgumentError: it is of another kind, or damaged.
  """
  size = tf.cond(
    _is_plain_jpeg(contents),
    lambda: _stored_size(contents),
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
  """The window of a picture, resized to `height` x `width`.

  A window of floats gives, up to rounding, what resizing the whole picture and
  cropping it would give: at its edges it mixes in pixels just outside. A window
  of integers is cut out and then resized, as a crop of Szegedy et al. (2015)
  is: at its edges it repeats its own pixels. Without `antialias` that takes a
  tenth less time, decoding included; with it both take the same.

  Args:
    contents: A JPEG (grey, RGB or CMYK), PNG, BMP or GIF (its first frame); a
      string scalar. Alpha is dropped.
    window: Inside the picture after its EXIF orientation (`upright_size`).
    height, width: Size of the result.
    antialias: Where the window shrinks, average over all of its pixels
      (a triangle filter, as Pillow's BILINEAR) instead of the nearest four.

  Returns:
    uint8 [height, width, 3], rounded to nearest, halves up.

  Raises:
    tf.errors.InvalidArgumentError: the file is damaged.
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

  def plain() -> tf.Tensor:
    size = _stored_size(contents)
    rows, columns = tf.unstack(size, 2)
    part = functools.partial(_decode_jpeg, contents, size)
    window = choose((rows, columns))
    return resampling.resample(part, window, (height, width), antialias)

  @_rare
  def rare(contents: tf.Tensor) -> tf.Tensor:
    window = choose(upright_size(contents))
    return resample(
      contents, window, height=height, width=width, antialias=antialias
    )

  return tf.cond(_is_plain_jpeg(contents), plain, lambda: rare(contents))


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
  return tf.cond(
    _is_plain_jpeg(contents),
    lambda: _decode_jpeg(contents, _stored_size(contents), first, last),
    lambda: _rare_part(contents, first, last),
  )


# Functions for rare files, which TensorFlow does not inline: it would otherwise
# pass through every operation of a branch, even of one that is not taken.
_rare = functools.partial(
  tf.function, experimental_attributes={'_noinline': True}
)


def _is_plain_jpeg(contents: tf.Tensor) -> tf.Tensor:
  return tf.io.is_jpeg(contents) & ~exif.has_exif(contents)


@_rare
def _rare_size(contents: tf.Tensor) -> tf.Tensor:
  def jpeg() -> tf.Tensor:
    size = _stored_size(contents)
    return exif.turned_size(size, exif.orientation(contents))

  return tf.cond(
    tf.io.is_jpeg(contents),
    jpeg,
    lambda: tf.shape(_decode_other(contents))[:2],
  )


@_rare
def _rare_part(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  def other() -> tf.Tensor:
    picture = _decode_other(contents)
    return picture[first[0] : last[0], first[1] : last[1]]

  return tf.cond(
    tf.io.is_jpeg(contents),
    lambda: _decode_turned(contents, first, last),
    other,
  )


def _stored_size(contents: tf.Tensor) -> tf.Tensor:
  return tf.image.extract_jpeg_shape(contents)[:2]


def _decode_jpeg(
  contents: tf.Tensor, size: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  """`_decode_part` of a JPEG of `size` without an orientation."""
  last = tf.minimum(last, size)
  box = tf.concat([first, last - first], 0)
  return tf.image.decode_and_crop_jpeg(
    contents, box, channels=3, dct_method=_DCT
  )


def _decode_turned(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  """`_decode_part` of a JPEG with an EXIF orientation."""
  orientation = exif.orientation(contents)
  size = _stored_size(contents)
  begin, end = exif.stored_box(first, last, size, orientation)
  return exif.turn(_decode_jpeg(contents, size, begin, end), orientation)


def _decode_other(contents: tf.Tensor) -> tf.Tensor:
  picture = tf.io.decode_image(contents, channels=3, expand_animations=False)
  return tf.ensure_shape(picture, [None, None, 3])
