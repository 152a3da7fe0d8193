"""The part of a picture that a crop shows, chosen before it is decoded.

These are TensorFlow operations, and draws are functions of the seed alone.
Sizes are pairs (height, width) of int32 scalars, of the upright picture.
"""

import math
from typing import NamedTuple

import tensorflow as tf

# Draws before the whole picture is taken, as in public codes of Inception.
_ATTEMPTS = 10


class Window(NamedTuple):
  """A rectangle of the upright picture in pixels, from its top left corner.

  Its fields are four float32 scalars, or four int32 scalars where it consists
  of whole pixels: `decode.resample` treats the two differently.
  """

  top: tf.Tensor
  left: tf.Tensor
  height: tf.Tensor
  width: tf.Tensor


Size = tuple[tf.Tensor, tf.Tensor]


def shorter_side_window(
  size: Size, seed: tf.Tensor, *, low: int, high: int, crop: int
) -> Window:
  """A random crop of the picture at a random scale (Sec. 3.4).

  In thought the picture is resized to a shorter side uniform in [low, high],
  both included, and a longer side in proportion, rounded, halves up; the crop
  lies at a uniform whole offset in the resized picture.

  Args:
    size: Size of the upright picture.
    seed: int64 [2].
    low: Least shorter side, at least `crop`.
    high: Greatest shorter side.
    crop: Side of the square crop.

  Returns:
    The crop in pixels of the original picture, floats.

  Raises:
    ValueError: the bounds are not 0 < crop <= low <= high.
  """
  if not 0 < crop <= low <= high:
    raise ValueError(f'not 0 < crop {crop} <= low {low} <= high {high}')
  draws = _draws(seed, [3])
  pixels = _float(size)
  # For a draw below 1, a product with a whole number stays below that number,
  # also when it is rounded to float32.
  side = low + tf.floor(draws[0] * (high - low + 1))
  resized = _resized(pixels, side)
  offset = tf.floor(draws[1:] * (resized - (crop - 1)))
  return _crop(pixels, resized, offset, crop)


def centre_window(size: Size, *, shorter_side: int, crop: int) -> Window:
  """The central crop of the picture at a scale (10-crop's middle, Sec. 3.4).

  The picture is resized as in `shorter_side_window`; an odd margin is one less
  above or to the left than on the other side.

  Args:
    size: Size of the upright picture.
    shorter_side: Shorter side of the resized picture, at least `crop`.
    crop: Side of the square crop.

  Returns:
    The crop in pixels of the original picture, floats.

  Raises:
    ValueError: the sides are not 0 < crop <= shorter_side.
  """
  if not 0 < crop <= shorter_side:
    raise ValueError(f'not 0 < crop {crop} <= shorter_side {shorter_side}')
  pixels = _float(size)
  resized = _resized(pixels, float(shorter_side))
  return _crop(pixels, resized, tf.floor((resized - crop) / 2), crop)


def inception_window(
  size: Size,
  seed: tf.Tensor,
  *,
  area: tuple[float, float] = (0.08, 1.0),
  ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Window:
  """A random part of random area and shape (Szegedy et al., 2015, Sec. 6).

  The area is uniform, and so is the logarithm of the aspect ratio, which the
  paper leaves open. A part that does not fit is drawn again, up to ten draws in
  all; then the whole picture is taken. TensorFlow's
  sample_distorted_bounding_box draws the height uniformly instead, which makes
  small areas more frequent than the paper's "distributed evenly".

  Args:
    size: Size of the upright picture.
    seed: int64 [2].
    area: Least and greatest share of the picture's area.
    ratio: Least and greatest width / height.

  Returns:
    The part in whole pixels, integers.

  Raises:
    ValueError: the bounds are not in order, or not positive.
  """
  if not (0 < area[0] <= area[1] <= 1 and 0 < ratio[0] <= ratio[1]):
    raise ValueError(f'area {area} or ratio {ratio} is out of order')
  draws = _draws(seed, [_ATTEMPTS, 4])
  whole = _float(size)
  share = area[0] + (area[1] - area[0]) * draws[:, 0]
  low, high = math.log(ratio[0]), math.log(ratio[1])
  stretch = tf.exp(
    (low + (high - low) * draws[:, 1])[:, tf.newaxis] * [-0.5, 0.5]
  )
  side = tf.sqrt(share * tf.reduce_prod(whole))
  sides = tf.round(side[:, tf.newaxis] * stretch)
  fits = tf.reduce_all((sides > 0) & (sides <= whole), 1)
  chosen = tf.argmax(fits)
  extent = tf.where(fits[chosen], sides[chosen], whole)
  corner = tf.floor(draws[chosen, 2:] * (whole - extent + 1))
  return _integers(corner, extent)


def whole(size: Size) -> Window:
  """All of the picture, as floats."""
  height, width = tf.unstack(_float(size))
  return Window(tf.zeros([]), tf.zeros([]), height, width)


def resized(size: Size, shorter_side: int) -> Size:
  """`size`, scaled to a shorter side of `shorter_side`, int32."""
  sides = tf.cast(_resized(_float(size), float(shorter_side)), tf.int32)
  height, width = tf.unstack(sides)
  return height, width


def whole_pixels(window: Window) -> Window:
  """The window with its edges moved to the nearest pixel borders.

  An edge moves by at most half a pixel, and at least one pixel remains.
  `decode.resample` is faster on the result where it does not antialias.

  Args:
    window: Floats, inside a picture.

  Returns:
    The window in whole pixels, integers.
  """
  corner = tf.stack([window.top, window.left])
  extent = tf.stack([window.height, window.width])
  # The pixel at the centre is in any case inside the picture.
  first = tf.minimum(tf.round(corner), tf.floor(corner + 0.5 * extent))
  last = tf.maximum(tf.round(corner + extent), first + 1)
  return _integers(first, last - first)


def _integers(corner: tf.Tensor, extent: tf.Tensor) -> Window:
  whole = tf.cast(tf.concat([corner, extent], 0), tf.int32)
  return Window(*tf.unstack(whole))


def _draws(seed: tf.Tensor, shape: list[int]) -> tf.Tensor:
  """Uniform draws from [0, 1), float32 of `shape`."""
  # The same numbers as tf.random.stateless_uniform(shape, seed, alg='philox')
  # on a CPU, without its 20 us of small operations.
  return tf.raw_ops.StatelessRandomUniform(shape=shape, seed=seed)


def _resized(size: tf.Tensor, shorter: tf.Tensor | int) -> tf.Tensor:
  """`size`, scaled to a shorter side, rounded, halves up; float32 [2]."""
  return tf.floor(size * shorter / tf.reduce_min(size) + 0.5)


def _crop(
  size: tf.Tensor, resized: tf.Tensor, offset: tf.Tensor, crop: int
) -> Window:
  pixel = size / resized
  return Window(*tf.unstack(offset * pixel), *tf.unstack(crop * pixel))


def _float(size: Size) -> tf.Tensor:
  return tf.cast(tf.stack(size), tf.float32)
