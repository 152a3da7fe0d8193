"""From pixels to the numbers that a network sees."""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from resnet_jax.errors import UserError

# Mean and deviation of ImageNet's training images, RGB in [0, 255], as public
# codes have them.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


class Normalization(flax.struct.PyTreeNode):
  """Subtracts the training mean (Sec. 3.4, 4.2).

  Attributes:
    mean: float32, per pixel [height, width, channels] or per channel
      [channels].
    std: float32 [channels], the divisor: 1 in the paper, which does not divide.
      Weights that were trained elsewhere may want another.
  """

  mean: jax.Array | np.ndarray
  std: jax.Array | np.ndarray

  @classmethod
  def by(cls, mean: npt.ArrayLike) -> 'Normalization':
    """Subtracts `mean` alone, as in the paper."""
    mean = np.asarray(mean, np.float32)
    return cls(mean, np.ones(mean.shape[-1], np.float32))

  @classmethod
  def of_colors(
    cls, mean: Sequence[float], std: Sequence[float]
  ) -> 'Normalization':
    """The normalization of three colours, for pixels from 0 to 255.

    Args:
      mean, std: Three numbers each, in the order red, green, blue.

    Raises:
      UserError: they are not three finite numbers, a `std` is not above 0, or
        both are for pixels from 0 to 1.
    """
    for name, values in (('mean', mean), ('std', std)):
      if len(values) != 3 or not np.isfinite(values).all():
        raise UserError(
          f'the {name} of pixels is {list(values)}; it must be three numbers, '
          f'one a colour'
        )
    if min(std) <= 0:
      raise UserError(
        f'the std of pixels is {list(std)}; it divides, so each number must be '
        f'above 0'
      )
    if max(std) < 1 and max(mean) <= 1:
      raise UserError(
        f'the mean {list(mean)} and the std {list(std)} are those of pixels '
        f'from 0 to 1, and ours are from 0 to 255: multiply both by 255'
      )
    return cls(np.array(mean, np.float32), np.array(std, np.float32))

  @classmethod
  def of_imagenet(cls) -> 'Normalization':
    """ImageNet's mean and deviation, which nearly all PyTorch nets want."""
    return cls.of_colors(IMAGENET_MEAN, _IMAGENET_STD)

  def __call__(self, images: jax.Array | np.ndarray) -> jax.Array:
    """`images`, uint8 [..., height, width, channels], as float32.

    Images of another size than the mean image have no pixels to pair with its
    own; its mean per channel is subtracted from them.
    """
    mean = self.mean
    if mean.ndim == 3 and mean.shape != images.shape[-3:]:
      mean = mean.mean((0, 1))
    return (jnp.asarray(images, jnp.float32) - mean) / self.std
