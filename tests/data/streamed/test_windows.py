"""Crop windows, by their laws."""

import numpy as np
import pytest

tf = pytest.importorskip('tensorflow')

from resnet_jax.data.streamed import windows  # noqa: E402

# Odd, portrait, landscape, tiny, panoramas, and one of the crop's own size.
SIZES = [(375, 500), (501, 333), (1, 1), (3, 40), (1200, 97), (224, 224)]
RANGE = {'low': 256, 'high': 480, 'crop': 224}


def drawn(function, size, draws, *, first=0):
  """Windows of seeds (7, first), (7, first + 1), ...: [draws, 4]."""
  height, width = (tf.constant(side) for side in size)
  seeds = tf.data.Dataset.range(first, first + draws)
  dataset = seeds.map(
    lambda n: tf.stack(function((height, width), tf.stack([7, n])))
  )
  return next(iter(dataset.batch(draws))).numpy()


def shorter(size, seed):
  return windows.shorter_side_window(size, seed, **RANGE)


def rounded_up(size, side):
  """Both sides in proportion, rounded exactly, halves up."""
  least = min(size)
  return [(2 * s * side + least) // (2 * least) for s in size]


def resized_sides_and_offsets(found, size):
  """Windows as whole numbers in the resized picture, [draws, 2] each."""
  found = found.astype(float)
  sides = 224 * np.array(size) / found[:, 2:]
  offsets = found[:, :2] / found[:, 2:] * 224
  for numbers in (sides, offsets):
    np.testing.assert_allclose(numbers, numbers.round(), atol=0.01)
  return sides.round().astype(int), offsets.round().astype(int)


def assert_uniform(values, low, high):
  """Checks that the whole numbers of [low, high] are equally frequent, within
  5 sigma.
  """
  assert values.min() == low
  assert values.max() == high
  count = np.bincount(values - low, minlength=high - low + 1)
  expected = len(values) / len(count)
  assert np.abs(count - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize('size', SIZES)
def test_scale_augmentation_is_a_crop_of_a_resized_picture(size):
  sides, offsets = resized_sides_and_offsets(drawn(shorter, size, 500), size)
  assert sides.min() >= 256
  assert sides.min(1).max() <= 480
  assert offsets.min() >= 0
  assert (offsets + 224 <= sides).all()
  for pair in sides:
    assert list(pair) == rounded_up(size, pair.min())


def test_the_shorter_side_is_uniform_with_both_ends():
  sides, offsets = resized_sides_and_offsets(
    drawn(shorter, (400, 400), 9000), (400, 400)
  )
  assert_uniform(sides[:, 0], 256, 480)
  # The corner is independent of the scale, and its axes of each other.
  share = offsets / (sides - 224)
  together = np.corrcoef(np.column_stack([sides[:, 0], share]).T)
  assert np.abs(together - np.eye(3)).max() < 5 / np.sqrt(9000)


def test_the_corner_is_uniform_with_both_ends():
  def fixed(size, seed):
    return windows.shorter_side_window(size, seed, low=230, high=230, crop=224)

  sides, offsets = resized_sides_and_offsets(
    drawn(fixed, (100, 103), 3000), (100, 103)
  )
  assert (sides == (230, 237)).all()
  assert_uniform(offsets[:, 0], 0, 6)
  assert_uniform(offsets[:, 1], 0, 13)


@pytest.mark.parametrize('function', [shorter, windows.inception_window])
def test_a_window_is_a_function_of_its_seed(function):
  found = drawn(function, (375, 500), 100)
  np.testing.assert_array_equal(found, drawn(function, (375, 500), 100))
  np.testing.assert_array_equal(
    found[50:], drawn(function, (375, 500), 50, first=50)
  )
  assert len({tuple(row) for row in found}) == 100


def test_draws_are_those_of_philox():
  seed = tf.constant([3, 1 << 40], tf.int64)
  draws = tf.random.stateless_uniform([3], seed, alg='philox').numpy()
  found = tf.stack(shorter((300, 300), seed)).numpy()
  sides, offsets = resized_sides_and_offsets(found[None], (300, 300))
  side = 256 + int(draws[0] * 225)
  assert list(sides[0]) == [side, side]
  assert list(offsets[0]) == [int(d * (side - 223)) for d in draws[1:]]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(('side', 'crop'), [(256, 224), (257, 224), (31, 31)])
def test_the_central_crop(size, side, crop):
  window = windows.centre_window(size, shorter_side=side, crop=crop)
  resized = rounded_up(size, side)
  pixel = np.array(size) / resized
  offset = [(s - crop) // 2 for s in resized]
  expected = np.concatenate([offset * pixel, crop * pixel])
  np.testing.assert_allclose(tf.stack(window), expected, rtol=1e-6, atol=1e-6)
  assert [int(s) for s in windows.resized(size, side)] == resized


@pytest.mark.parametrize('size', SIZES)
def test_inception_windows_lie_inside(size):
  found = drawn(windows.inception_window, size, 300)
  assert found.dtype == np.int32
  assert found.min(0)[:2].min() >= 0
  assert (found[:, 2:] >= 1).all()
  assert (found[:, :2] + found[:, 2:] <= size).all()


def test_inception_area_and_ratio_are_spread_evenly():
  # Where every part fits, none is drawn again.
  def small(size, seed):
    return windows.inception_window(size, seed, area=(0.1, 0.5))

  top, left, h, w = drawn(small, (1000, 1000), 4000).T
  for values, low, high in [
    (h * w / 1e6, 0.1, 0.5),
    (np.log(w / h), np.log(3 / 4), np.log(4 / 3)),
    (top / (1000 - h), 0, 1),
    (left / (1000 - w), 0, 1),
  ]:
    tenths = np.histogram(values, np.linspace(low, high, 11))[0]
    assert np.abs(tenths - 400).max() < 5 * np.sqrt(400)
    assert tenths.sum() > 3990  # rounding to pixels may leave the range


def test_where_no_shape_fits_inception_takes_the_whole():
  found = drawn(windows.inception_window, (2000, 40), 20)
  np.testing.assert_array_equal(found, [[0, 0, 2000, 40]] * 20)


def test_whole_pixels_are_the_nearest_and_at_least_one():
  for window, expected in [
    ((0.0, 0.4, 9.6, 5.3), (0, 0, 10, 6)),
    ((2.6, 3.4, 0.2, 0.1), (2, 3, 1, 1)),
  ]:
    window = windows.Window(*(tf.constant(value) for value in window))
    snapped = windows.whole_pixels(window)
    assert tuple(int(value) for value in snapped) == expected
    assert snapped.top.dtype == tf.int32


def test_whole_pixels_stay_inside():
  def snapped(size, seed):
    return windows.whole_pixels(shorter(size, seed))

  for size in SIZES:
    found = drawn(snapped, size, 300)
    assert found[:, :2].min() >= 0
    assert (found[:, 2:] >= 1).all()
    assert (found[:, :2] + found[:, 2:] <= size).all()


def test_a_crop_that_cannot_fit_is_refused():
  size, seed = (300, 300), tf.constant([0, 0], tf.int64)
  with pytest.raises(ValueError, match='crop 224 <= low 200'):
    windows.shorter_side_window(size, seed, low=200, high=480, crop=224)
  with pytest.raises(ValueError, match='high 255'):
    windows.shorter_side_window(size, seed, low=256, high=255, crop=224)
  with pytest.raises(ValueError, match='shorter_side 100'):
    windows.centre_window(size, shorter_side=100, crop=224)
  with pytest.raises(ValueError, match='out of order'):
    windows.inception_window(size, seed, area=(0.5, 0.1))
