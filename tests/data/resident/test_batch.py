"""Batches of a resident set: their order and augmentation, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.order import OrderFeed, epoch_order
from resnet_jax.data.resident.batch import Examples, train_batch

EXAMPLES = 50


@pytest.fixture
def examples():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (EXAMPLES, 7, 9, 2), np.uint8)
  return Examples(images, np.arange(EXAMPLES, dtype=np.int32))


def order_feed(batch_size):
  return OrderFeed(
    seed=3, examples=EXAMPLES, batch_size=batch_size, put=lambda x: x
  )


def batch(examples, step, *, size=16, pad=2, flip=True, seed=0):
  return train_batch(
    examples,
    order_feed(size).at(step),
    Normalization.by(examples.images.mean(0)),
    step * size + jnp.arange(size, dtype=jnp.int32),
    key=jax.random.key(seed),
    pad=pad,
    flip=flip,
  )


def test_batches_run_through_the_end_of_an_epoch_without_a_gap(examples):
  # 16 does not divide 50: the batches of steps 3 and 6 lie in two epochs.
  labels = [batch(examples, step)[1] for step in range(10)]
  stream = np.concatenate(labels)
  expected = [epoch_order(3, epoch, EXAMPLES) for epoch in range(4)]
  np.testing.assert_array_equal(stream, np.concatenate(expected)[:160])


def test_each_image_is_a_crop_of_its_padded_self_or_its_mirror(examples):
  images, labels = batch(examples, 0, size=32)
  mean = examples.images.mean(0).astype(np.float32)
  seen = set()
  for image, label in zip(np.asarray(images), labels, strict=True):
    # The mean is taken off before the padding: a padded pixel is the mean's.
    padded = np.pad(
      examples.images[label] - mean, ((2, 2), (2, 2), (0, 0))
    ).astype(np.float32)
    crops = {
      (top, left, mirrored): padded[top : top + 7, left : left + 9][
        :, :: -1 if mirrored else 1
      ]
      for top in range(5)
      for left in range(5)
      for mirrored in (False, True)
    }
    same = [key for key, crop in crops.items() if np.array_equal(crop, image)]
    assert len(same) == 1
    seen.add(same[0])
  # 32 draws from 50 kinds: about 24 are expected to differ.
  assert len(seen) > 15
  assert {mirrored for _, _, mirrored in seen} == {False, True}


def test_augmentation_hangs_on_epoch_and_example_and_not_on_the_batch(examples):
  one = dict(zip(*reversed_pair(batch(examples, 0, size=16)), strict=True))
  other = dict(zip(*reversed_pair(batch(examples, 0, size=32)), strict=True))
  for label, image in one.items():
    np.testing.assert_array_equal(image, other[label])
  # In the next epoch the same examples are cut otherwise.
  later = batch(examples, 1, size=50)
  assert not all(
    np.array_equal(image, one[label])
    for label, image in zip(*reversed_pair(later), strict=True)
    if label in one
  )


def reversed_pair(pair):
  images, labels = pair
  return [int(label) for label in labels], list(np.asarray(images))


def test_without_augmentation_images_are_just_mean_free(examples):
  images, labels = batch(examples, 0, pad=0, flip=False)
  mean = examples.images.mean(0).astype(np.float32)
  np.testing.assert_array_equal(images, examples.images[labels] - mean)
