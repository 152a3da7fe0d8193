"""The statistics of rounds, and the least work of a network."""

import pytest

from benchmarks.limit import Work, least_work
from benchmarks.measure import Rates, ratio
from resnet_jax import models


def test_spread_is_half_of_the_range():
  rates = Rates((100.0, 90.0, 120.0))
  assert rates.median == 100
  assert rates.spread == 15
  assert Rates((7.0,)).spread == 0


def test_a_ratio_is_taken_round_by_round():
  # The machine slowed down for both: their ratio did not change.
  found = ratio([100, 50, 200], [200, 100, 400])
  assert found.rounds.median == 0.5
  assert found.rounds.spread == 0
  assert found.clear


@pytest.mark.parametrize(
  ('ours', 'clear'),
  [
    ([90, 91, 92], True),
    ([90, 101, 92], True),  # median 0.92 +- 0.055
    ([97, 94, 103], False),  # median 0.97 +- 0.045
    ([110, 130, 111], True),
    ([99, 140, 101], False),
    ([50], False),  # one round says nothing about the spread
  ],
)
def test_no_ratio_where_rounds_differ_more_than_sides(ours, clear):
  assert ratio(ours, [100] * len(ours)).clear == clear


def test_sides_must_have_the_same_rounds():
  with pytest.raises(ValueError):
    ratio([1, 2], [1])


def test_the_slower_of_arithmetic_and_memory_is_the_limit():
  work = Work(flops=6e9, bytes=1e9)
  assert work.seconds(1e9, 1e9) == 6
  assert work.seconds(1e10, 1e8) == 10


def test_least_work_of_resnet20():
  """Counted by hand from Sec. 4.2, for one image."""
  model = models.create('cifar_resnet20')
  shape = (32, 32, 3)
  testing = least_work(model, shape, batch=1, item_bytes=4, training=False)
  stem = 32 * 32 * 16 * 27
  convolutions = (
    6 * 32 * 32 * 16 * 144
    + (16 * 16 * 32 * 144 + 5 * 16 * 16 * 32 * 288)
    + (8 * 8 * 64 * 288 + 5 * 8 * 8 * 64 * 576)
  )
  macs = stem + convolutions + 640
  assert testing.flops == 2 * macs
  maps = 7 * 16 * 1024 + 6 * 32 * 256 + 6 * 64 * 64 + 10
  kernels = 27 * 16 + 6 * 2304 + (4608 + 5 * 9216) + (18432 + 5 * 36864)
  parameters = kernels + 640 + 10
  assert testing.bytes == 4 * (2 * maps + parameters)
  # Gradients of weights and inputs cost as much again each, without the image.
  training = least_work(model, shape, batch=3, item_bytes=2, training=True)
  assert training.flops == 3 * 2 * (3 * macs - stem)
  assert training.bytes == 3 * 5 * maps * 2 + 4 * parameters * 4
