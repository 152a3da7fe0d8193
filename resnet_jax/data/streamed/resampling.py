"""Brings a window of a picture to the size of a crop.

These are TensorFlow operations. The caller passes a function that decodes a
part of the picture; which part is needed follows from the filter.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from resnet_jax.data.streamed.windows import Window

# (first, last), int32 [2] each -> the upright picture from pixel `first` to
# before `last`, which may lie beyond the picture; uint8 [h, w, 3].
DecodePart = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
# Height and width.
Size = tuple[int | tf.Tensor, int | tf.Tensor]

# The decoder interpolates chroma without a view of what lies outside: in this
# many columns at the edges of a part it may differ from the whole picture.
_BLUR = 1


def resample(
  decode_part: DecodePart, window: Window, size: Size, antialias: bool
) -> tf.Tensor:
  """The window at `size`, uint8 [*size, 3]; see `decode.resample`."""
  corner = tf.stack([window.top, window.left])
  extent = tf.stack([window.height, window.width])
  transform = _cut_and_resize if corner.dtype.is_integer else _scale
  pixels = transform(decode_part, corner, extent, size, antialias)
  # All weights are positive and add up to 1: nothing leaves [0, 255].
  return tf.reshape(tf.cast(pixels + 0.5, tf.uint8), [*size, 3])


def _cut_and_resize(
  decode_part: DecodePart,
  corner: tf.Tensor,
  extent: tf.Tensor,
  size: Size,
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
  decode_part: DecodePart,
  corner: tf.Tensor,
  extent: tf.Tensor,
  size: Size,
  antialias: bool,
) -> tf.Tensor:
  # From the outermost samples, half a step inside the window, the filter
  # reaches one step, or one pixel if that is more; pixels count from centres.
  step = extent / tf.cast(tf.stack(size), tf.float32)
  margin = 1.5 + _BLUR + 0.5 * step if antialias else 1.5 + _BLUR
  # Casts round down, which costs less than to round; a pixel more is decoded.
  first = tf.cast(tf.maximum(corner - margin, 0), tf.int32)
  last = tf.cast(corner + extent + (margin + 1), tf.int32)
  scale = 1 / step
  translation = (tf.cast(first, tf.float32) - corner) * scale
  # The outermost samples in the part, from its first pixel's centre.
  top = corner - tf.cast(first, tf.float32) + 0.5 * step - 0.5
  bottom = top + extent - step
  # Small operations come first: while some are left to do, TensorFlow hands a
  # large one to another thread.
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
  size: Size,
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
