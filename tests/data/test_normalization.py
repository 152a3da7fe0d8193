"""Normalization of images of one size or another."""

import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError


def test_a_mean_image_is_of_no_use_to_images_of_another_size():
  mean = np.arange(12.0).reshape(2, 2, 3)
  norm = Normalization(jnp.float32(mean), jnp.float32([1, 2, 4]))
  image = np.full((3, 5, 3), 7, np.uint8)
  expected = (7 - mean.mean((0, 1))) / [1, 2, 4]
  np.testing.assert_allclose(norm(image), np.broadcast_to(expected, (3, 5, 3)))
  np.testing.assert_allclose(norm(image[:2, :2]), (7 - mean) / [1, 2, 4])


def test_the_scale_of_colours_is_0_to_255():
  with pytest.raises(UserError, match='multiply both by 255'):
    Normalization.of_colors((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
  Normalization.of_colors((0, 0, 0), (1, 1, 1))  # pixels as they are
  Normalization.of_colors((0, 0, 0), (255, 255, 255))
