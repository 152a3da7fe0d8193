"""The baselines' layers as their papers publish them, and helpers for tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax import models

# Layers with weights: window, channels read and written, side of the maps. A
# fully-connected layer is a window over all of its input.
ALEXNET = [
  (11, 3, 96, 55),
  (5, 48, 256, 27),
  (3, 256, 384, 13),
  (3, 192, 384, 13),
  (3, 192, 256, 13),
  (6, 256, 4096, 1),
  (1, 4096, 4096, 1),
  (1, 4096, 1000, 1),
]


VGG16 = [
  (3, 3, 64, 224),
  (3, 64, 64, 224),
  (3, 64, 128, 112),
  (3, 128, 128, 112),
  (3, 128, 256, 56),
  (3, 256, 256, 56),
  (3, 256, 256, 56),
  (3, 256, 512, 28),
  (3, 512, 512, 28),
  (3, 512, 512, 28),
  *[(3, 512, 512, 14)] * 3,
  (7, 512, 4096, 1),
  (1, 4096, 4096, 1),
  (1, 4096, 1000, 1),
]


VGG19 = [*VGG16, (3, 256, 256, 56), (3, 512, 512, 28), (3, 512, 512, 14)]


# Side of the maps, channels read, and filters of Szegedy et al.'s Table 1.
INCEPTIONS = [
  (28, 192, 64, 96, 128, 16, 32, 32),
  (28, 256, 128, 128, 192, 32, 96, 64),
  (14, 480, 192, 96, 208, 16, 48, 64),
  (14, 512, 160, 112, 224, 24, 64, 64),
  (14, 512, 128, 128, 256, 24, 64, 64),
  (14, 512, 112, 144, 288, 32, 64, 64),
  (14, 528, 256, 160, 320, 32, 128, 128),
  (7, 832, 256, 160, 320, 32, 128, 128),
  (7, 832, 384, 192, 384, 48, 128, 128),
]


GOOGLENET = [
  (7, 3, 64, 112),
  (1, 64, 64, 56),
  (3, 64, 192, 56),
  *(
    layer
    for side, x, one, three_r, three, five_r, five, pool in INCEPTIONS
    for layer in (
      (1, x, one, side),
      (1, x, three_r, side),
      (3, three_r, three, side),
      (1, x, five_r, side),
      (5, five_r, five, side),
      (1, x, pool, side),
    )
  ),
  (1, 1024, 1000, 1),
]


HEADS = [
  layer
  for x in (512, 528)
  for layer in ((1, x, 128, 4), (4, 128, 1024, 1), (1, 1024, 1000, 1))
]


PUBLISHED = {
  'alexnet': (ALEXNET, []),
  'vgg16': (VGG16, []),
  'vgg19': (VGG19, []),
  'googlenet': (GOOGLENET, HEADS),
}


def params_of(layers):
  """Weights and biases of `layers`."""
  return sum((window**2 * x + 1) * y for window, x, y, _ in layers)


def macs_of(layers):
  """Multiply-adds of `layers` for one image."""
  return sum((window * side) ** 2 * x * y for window, x, y, side in layers)


@functools.cache
def abstract(name, size=224, **overrides):
  """A network, with shapes of its variables and of a batch of two images."""
  model = models.create(name, **overrides)
  images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
  return model, jax.eval_shape(model.init, jax.random.key(0), images), images


def leaves(tree):
  """The arrays of a tree by their paths."""
  flat, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {'/'.join(part.key for part in path): x for path, x in flat}


def drawn(model, size, dtype=np.float64):
  """Random variables, of a scale at which every array matters."""
  images = jax.ShapeDtypeStruct((1, size, size, 3), dtype)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  rng = np.random.default_rng(0)

  def draw(x):
    scale = (2 / np.prod(x.shape[:-1])) ** 0.5 if len(x.shape) > 1 else 0.1
    return rng.normal(0, scale, x.shape).astype(dtype)

  return jax.tree.map(draw, shapes)
