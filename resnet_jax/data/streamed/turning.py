"""Turning pictures upright, as their orientation says.

JEITA CP-3451 (Exif 2.32), Sec. 4.6.4: a number from 1 to 8 says how the stored
picture has to be turned. These are TensorFlow operations, which turn the part
of a picture that is needed, once it is decoded.
"""

import tensorflow as tf

from resnet_jax.data.streamed.pillow import FLIPS


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
  flips = tf.gather(FLIPS, orientation)
  begin = tf.where(flips, upright - last, first)
  end = tf.where(flips, upright - first, last)
  return turned_size(begin, orientation), turned_size(end, orientation)


def turn(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
  """The stored picture or a box of it, [h, w, c], turned upright."""
  axes = tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2])
  dims = tf.concat([tf.gather(FLIPS, orientation), [False]], 0)
  return tf.raw_ops.Reverse(tensor=tf.transpose(picture, axes), dims=dims)
