"""Sets of small images: their splits, fingerprints and sources."""

import numpy as np
import pytest

from resnet_jax.data.resident import sources
from resnet_jax.data.resident.images import Split, check, hold_out


def image_set(train=60, test=10, classes=5):
  images = np.zeros((train, 4, 4, 1), np.uint8)
  images[:, 0, 0, 0] = np.arange(train)
  return check(
    'a set',
    Split(images, np.arange(train) % classes),
    Split(images[:test], np.arange(test) % classes),
  )


def test_validation_and_training_are_disjoint_and_complete():
  held = hold_out(image_set(), 20, seed=0)
  assert (len(held.train), len(held.validation)) == (40, 20)
  pixels = [split.images[:, 0, 0, 0] for split in (held.train, held.validation)]
  np.testing.assert_array_equal(np.sort(np.concatenate(pixels)), np.arange(60))
  again = hold_out(image_set(), 20, seed=0)
  other = hold_out(image_set(), 20, seed=1)
  np.testing.assert_array_equal(again.validation.images, held.validation.images)
  assert not np.array_equal(other.validation.images, held.validation.images)


def test_the_fingerprint_sees_one_pixel_one_label_and_the_split():
  base = image_set()
  prints = {base.fingerprint(), hold_out(base, 6, 0).fingerprint()}
  for name in ('images', 'labels'):
    changed = image_set()
    getattr(changed.train, name)[-1] ^= 1
    prints.add(changed.fingerprint())
  assert len(prints) == 4
  assert base.fingerprint() == image_set().fingerprint()


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
