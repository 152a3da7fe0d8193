"""Decodes only the window of a picture that a crop shows, and resamples it.

TensorFlow operations throughout, for the function of a tf.data map. The window
is chosen first (windows.py), from the size in the header. Most of the cost is
the decoder's; pixels outside of the window are not transformed, and rows below
it are not even read.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from resnet_jax.data.streamed import exif
from resnet_jax.data.streamed.windows import Window

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
  """The window of a picture, at a size.

  A window of floats gives, up to rounding, what resizing the whole picture and
  cropping it would give: at its edges it mixes in pixels just outside. One of
  integers is cut out and then resized, as a crop of Szegedy et al. (2015) is:
  at its edges it repeats its own pixels. Without `antialias` that takes a tenth
  less time, decoding included; with it the two take the same.

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
  part = functools.partial(_decode_part, contents)
  return _resample(part, window, (height, width), antialias)


def sample(
  contents: tf.Tensor,
  choose: Callable[[tuple[tf.Tensor, tf.Tensor]], Window],
  *,
  height: int,
  width: int,
  antialias: bool,
) -> tf.Tensor:
  """The window that `choose` chooses for the `upright_size` of a picture.

  The same as `resample`, but the header is read once.
  """

  def plain() -> tf.Tensor:
    size = _stored_size(contents)
    rows, columns = tf.unstack(size, 2)
    part = functools.partial(_decode_jpeg, contents, size)
    return _resample(part, choose((rows, columns)), (height, width), antialias)

  @_rare
  def rare(contents: tf.Tensor) -> tf.Tensor:
    window = choose(upright_size(contents))
    return resample(
      contents, window, height=height, width=width, antialias=antialias
    )

  return tf.cond(_is_plain_jpeg(contents), plain, lambda: rare(contents))


def _resample(
  decode_part: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
  window: Window,
  size: tuple[int, int],
  antialias: bool,
) -> tf.Tensor:
  corner = tf.stack([window.top, window.left])
  extent = tf.stack([window.height, window.width])
  transform = _cut_and_resize if corner.dtype.is_integer else _scale
  pixels = transform(decode_part, corner, extent, size, antialias)
  # All weights are positive and add up to 1: nothing leaves [0, 255].
  return tf.reshape(tf.cast(pixels + 0.5, tf.uint8), [*size, 3])


def _cut_and_resize(
  decode_part: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
  corner: tf.Tensor,
  extent: tf.Tensor,
  size: tuple[int, int],
  antialias: bool,
) -> tf.Tensor:
  first = tf.maximum(corner - _BLUR, 0)
  begin = tf.concat([corner - first, [0]], 0)
  cut_size = tf.concat([extent, [3]], 0)
  scale = tf.cast(size, tf.float32) / tf.cast(extent, tf.float32)
  with tf.control_dependencies([begin, cut_size, scale]):
    part = decode_part(first, corner + extent + _BLUR)
  cut = tf.slice(part, begin, cut_size)[tf.newaxis]
  if antialias:
    return _scale_and_translate(cut, size, scale, tf.zeros([2]), True)
  return tf.raw_ops.ResizeBilinear(
    images=cut, size=size, half_pixel_centers=True
  )


def _scale(
  decode_part: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
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
  scale = 1 / step
  translation = (tf.cast(first, tf.float32) - corner) * scale
  # The outermost samples in the part, from its first pixel's centre.
  top = corner - tf.cast(first, tf.float32) + 0.5 * step - 0.5
  bottom = top + extent - step
  # While there are small operations to do, TensorFlow hands a large one to
  # another thread: they come first.
  with tf.control_dependencies([translation, bottom]):
    part = decode_part(first, last)
  images = part[tf.newaxis]
  everywhere = functools.partial(
    _scale_and_translate, images, size, scale, translation, antialias
  )
  if antialias:
    return everywhere()
  # CropAndResize computes the same in less time, but only between the centres
  # of the outermost pixels: an enlarged edge has samples beyond.
  final = tf.cast(tf.shape(part)[:2] - 1, tf.float32)
  boxes = tf.reshape(tf.concat([top / final, bottom / final], 0), [1, 4])
  return tf.cond(
    tf.reduce_all((top >= 0) & (bottom < final)),
    lambda: tf.raw_ops.CropAndResize(
      image=images, boxes=boxes, box_ind=[0], crop_size=size
    ),
    everywhere,
  )


def _scale_and_translate(
  images: tf.Tensor,
  size: tuple[int, int],
  scale: tf.Tensor,
  translation: tf.Tensor,
  antialias: bool,
) -> tf.Tensor:
  return tf.raw_ops.ScaleAndTranslate(
    images=images,
    size=size,
    scale=scale,
    translation=translation,
    kernel_type='triangle',
    antialias=antialias,
  )


def _decode_part(
  contents: tf.Tensor, first: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  """The upright picture from pixel `first` to before `last`.

  Args:
    contents: the file.
    first: int32 [2], not negative.
    last: int32 [2], may lie beyond the picture, where the part ends then.

  Returns:
    uint8 [h, w, 3].
  """
  return tf.cond(
    _is_plain_jpeg(contents),
    lambda: _decode_jpeg(contents, _stored_size(contents), first, last),
    lambda: _rare_part(contents, first, last),
  )


# What rare files need stands in functions that TensorFlow does not inline: it
# passes through every operation of a branch, also of one that is not taken.
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
  """`_decode_part` of a JPEG as it is stored, of this size."""
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
