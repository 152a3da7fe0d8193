"""Training batches of pictures: their order, crops, hosts and colours."""

import jax
import numpy as np
import pytest

from resnet_jax.data.normalization import Normalization
from resnet_jax.data.order import epoch_order
from resnet_jax.data.streamed.feed import pca_offset
from tests.data.streamed.pictures import (
  CROP,
  TRAIN,
  batches,
  config_of,
  equal,
  feed,
)

pytest.importorskip('tensorflow')


@pytest.fixture(scope='module')
def running(folder):
  """The batches of one feed: 72 pictures, four epochs."""
  return batches(folder, range(9))


def test_every_picture_comes_once_an_epoch_in_the_order_of_the_seed(running):
  seen = running
  ids = np.concatenate([b['ids'] for b in seen])
  expected = np.concatenate([epoch_order(0, e, TRAIN) for e in range(4)])
  np.testing.assert_array_equal(ids, expected)
  labels = np.concatenate([b['labels'] for b in seen])
  np.testing.assert_array_equal(labels, ids >= TRAIN // 2)
  epochs = np.concatenate([b['epochs'] for b in seen])
  np.testing.assert_array_equal(epochs, np.arange(72) // TRAIN)


def test_a_step_is_the_same_wherever_the_run_begins(folder, running):
  for step in (1, 2, 5):
    assert equal(feed(folder).host_batch(step), running[step])
  jumping = batches(folder, [5, 2, 3])
  assert equal(jumping[1], running[2])
  assert equal(jumping[2], running[3])


def test_crops_differ_by_epoch_and_seed_and_not_by_batch(folder, running):
  by_example = {}
  for batch in running[:6]:
    for i, index in enumerate(batch['ids']):
      key = int(batch['epochs'][i]), int(index)
      by_example[key] = batch['images'][i]
  again = [
    np.array_equal(by_example[0, i], by_example[1, i]) for i in range(18)
  ]
  assert sum(again) < 3
  other = config_of(folder)
  other.batch_size = 6
  for batch in batches(folder, range(3), config=other):
    for image, index in zip(batch['images'], batch['ids'], strict=True):
      np.testing.assert_array_equal(image, by_example[0, int(index)])


@pytest.mark.parametrize('hosts', [2, pytest.param(4, marks=pytest.mark.slow)])
def test_hosts_share_the_batch_of_one(folder, running, hosts):
  whole = running[:4]
  parts = [
    batches(folder, range(4), host=host, hosts=hosts) for host in range(hosts)
  ]
  for step, one in enumerate(whole):
    joined = {k: np.concatenate([part[step][k] for part in parts]) for k in one}
    assert equal(joined, one)


def test_on_the_device_pictures_are_flipped_shifted_and_mean_free(folder):
  config = config_of(folder, pca_std=0.1)
  one = feed(folder, config=config)
  batch = one.host_batch(0)
  rng = np.random.default_rng(0)
  norm = Normalization.by(rng.uniform(0, 255, (CROP, CROP, 3)))
  images, labels = jax.jit(one.make_batch)(0, (), batch, norm)
  np.testing.assert_array_equal(labels, batch['labels'])
  flips, shifts = [], []
  for image, source in zip(np.asarray(images), batch['images'], strict=True):
    rest = [
      image - (x.astype(np.float32) - norm.mean)
      for x in (source, source[:, ::-1])
    ]
    flip = int(np.argmin([r.std((0, 1)).max() for r in rest]))
    flips.append(flip)
    shift = rest[flip].mean((0, 1))
    np.testing.assert_allclose(
      rest[flip], np.broadcast_to(shift, image.shape), atol=1e-3
    )
    shifts.append(shift)
  assert set(flips) == {0, 1}
  assert len({tuple(np.round(s, 3)) for s in shifts}) == len(shifts)


def test_colours_shift_along_the_components_of_alexnet():
  keys = jax.random.split(jax.random.key(0), 20_000)
  shifts = np.asarray(jax.vmap(lambda k: pca_offset(k, 0.1))(keys))
  np.testing.assert_allclose(shifts.mean(0), 0, atol=0.1)
  values, vectors = np.linalg.eigh(np.cov(shifts.T))
  np.testing.assert_allclose(
    np.sqrt(values)[::-1], [5.546, 0.4794, 0.1148], rtol=0.03
  )
  # Brightness above all: the first component is nearly grey.
  np.testing.assert_allclose(np.abs(vectors[:, 2]), 3**-0.5, atol=0.02)
