"""Order, augmentation and splits, against NumPy and by their laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.order import OrderFeed, epoch_order
from resnet_jax.data.resident import batch as on_device
from resnet_jax.data.resident import images as arrays
from resnet_jax.data.resident import sources

EXAMPLES = 50


@pytest.fixture
def examples():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (EXAMPLES, 7, 9, 2), np.uint8)
  return on_device.Examples(images, np.arange(EXAMPLES, dtype=np.int32))


def feed(batch_size):
  return OrderFeed(
    seed=3, examples=EXAMPLES, batch_size=batch_size, put=lambda x: x
  )


def batch(examples, step, *, size=16, pad=2, flip=True, seed=0):
  return on_device.train_batch(
    examples,
    feed(size).at(step),
    Normalization.by(examples.images.mean(0)),
    step * size + jnp.arange(size, dtype=jnp.int32),
    key=jax.random.key(seed),
    pad=pad,
    flip=flip,
  )


def test_every_example_comes_once_an_epoch_and_epochs_differ():
  epochs = [epoch_order(0, epoch, 100) for epoch in range(5)]
  for order in epochs:
    np.testing.assert_array_equal(np.sort(order), np.arange(100))
  assert len({tuple(order) for order in epochs}) == 5
  assert not np.array_equal(epochs[0], epoch_order(1, 0, 100))


def test_batches_run_through_the_end_of_an_epoch_without_a_gap(examples):
  # 16 does not divide 50: the batches of steps 3 and 6 lie in two epochs.
  labels = [batch(examples, step)[1] for step in range(10)]
  stream = np.concatenate(labels)
  expected = [epoch_order(3, epoch, EXAMPLES) for epoch in range(4)]
  np.testing.assert_array_equal(stream, np.concatenate(expected)[:160])


def test_the_batch_of_a_step_does_not_depend_on_the_steps_before(examples):
  running = feed(16)
  for step in range(8):
    order = running.at(step)
  np.testing.assert_array_equal(order.indices, feed(16).at(7).indices)


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


def image_set(train=60, test=10, classes=5):
  images = np.zeros((train, 4, 4, 1), np.uint8)
  images[:, 0, 0, 0] = np.arange(train)
  return arrays.check(
    'a set',
    arrays.Split(images, np.arange(train) % classes),
    arrays.Split(images[:test], np.arange(test) % classes),
  )


def test_validation_and_training_are_disjoint_and_complete():
  held = arrays.hold_out(image_set(), 20, seed=0)
  assert (len(held.train), len(held.validation)) == (40, 20)
  pixels = [split.images[:, 0, 0, 0] for split in (held.train, held.validation)]
  np.testing.assert_array_equal(np.sort(np.concatenate(pixels)), np.arange(60))
  again = arrays.hold_out(image_set(), 20, seed=0)
  other = arrays.hold_out(image_set(), 20, seed=1)
  np.testing.assert_array_equal(again.validation.images, held.validation.images)
  assert not np.array_equal(other.validation.images, held.validation.images)


def test_the_fingerprint_sees_one_pixel_one_label_and_the_split():
  base = image_set()
  prints = {base.fingerprint(), arrays.hold_out(base, 6, 0).fingerprint()}
  for name in ('images', 'labels'):
    changed = image_set()
    getattr(changed.train, name)[-1] ^= 1
    prints.add(changed.fingerprint())
  assert len(prints) == 4
  assert base.fingerprint() == image_set().fingerprint()


# TFDS and TensorFlow open files and use APIs of NumPy in ways that warn.
@pytest.mark.filterwarnings('default')
def test_digits_are_scikit_learns_through_tfds(tmp_path):
  pytest.importorskip('tensorflow_datasets')
  from sklearn import datasets

  digits = sources.from_tfds('digits', str(tmp_path))
  assert digits.class_names == tuple('0123456789')
  assert digits.image_shape == (8, 8, 1)
  assert (len(digits.train), len(digits.test)) == (1500, 297)
  ours = np.concatenate([digits.train.images, digits.test.images])[..., 0]
  labels = np.concatenate([digits.train.labels, digits.test.labels])
  theirs = datasets.load_digits()

  def rows(images, targets):
    flat = images.reshape(len(images), -1).round().astype(int)
    return sorted(map(tuple, np.column_stack([flat, targets])))

  assert rows(ours * (16 / 255), labels) == rows(theirs.images, theirs.target)


def test_npz_holds_what_was_put_in(tmp_path):
  base = image_set()
  file = tmp_path / 'set.npz'
  np.savez(
    file,
    train_images=base.train.images,
    train_labels=base.train.labels,
    test_images=base.test.images,
    test_labels=base.test.labels,
  )
  assert sources.from_npz(str(file)).fingerprint() == base.fingerprint()
