"""The colour augmentation of AlexNet (Krizhevsky et al. 2012, Sec. 4.1).

To all pixels of an image, one random multiple of each principal component of
the colours in the training set is added.
"""

import jax
import jax.numpy as jnp

# Of ImageNet's training pixels, RGB in [0, 255]: the components, in columns,
# and the scale of each. Values that public codes share (Torch, MXNet).
_COMPONENTS = (
  (-0.5675, 0.7192, 0.4009),
  (-0.5808, -0.0045, -0.8140),
  (-0.5836, -0.6948, 0.4203),
)
_SCALES = (55.46, 4.794, 1.148)


def pca_offset(key: jax.Array, std: float) -> jax.Array:
  """What is added to an image, float32 [3], RGB in [0, 255].

  Args:
    key: of this image.
    std: of the random multiples; 0.1 in the paper of AlexNet.
  """
  multiples = std * jax.random.normal(key, (3,), jnp.float32)
  return jnp.array(_COMPONENTS) @ (multiples * jnp.array(_SCALES))
