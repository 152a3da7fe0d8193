"""The verdict on degradation goes by the numbers of the runs."""

import pytest

from resnet_jax.paper import degradation

FLAT = {20: [1.0, 1.2, 1.1], 56: [1.1, 1.0, 1.2]}
RISING = {20: [1.0, 1.2, 1.1], 56: [60.0, 50.0, 70.0]}
HALF = {20: [1.0, 1.2, 1.1], 56: [10.0, 11.0, 12.0]}


@pytest.mark.parametrize(
  ('plain', 'residual', 'words'),
  [
    (RISING, FLAT, 'degradation, and its cure'),
    (FLAT, FLAT, 'not reproduced'),
    (FLAT, RISING, 'not reproduced'),
    (RISING, RISING, 'no cure'),
    (RISING, HALF, 'lessen it'),
    ({20: RISING[56], 56: FLAT[56]}, FLAT, 'not reproduced'),
    ({20: [1.0], 56: [60.0]}, FLAT, 'Nothing can be said'),
    ({20: [1.0, 2.0]}, FLAT, 'Nothing can be said'),
    (RISING, {20: [1.0, 1.2], 32: [1.0, 1.2]}, 'Nothing can be said'),
    (RISING, {20: [1.0, 1.2, 1.1], 56: [1.0, 60.0, 2.0]}, 'cannot tell'),
  ],
)
def test_the_verdict_goes_by_the_numbers(plain, residual, words):
  assert words in degradation.verdict(plain, residual)


def test_the_verdict_gives_its_numbers():
  words = degradation.verdict(RISING, FLAT)
  # Means 1.1 and 60; standard error of the difference sqrt(100/3 + 0.01/3).
  assert 'from 1.10 to 60.00 %, up by 58.90 points' in words
  assert '11.55 for two standard errors' in words
  assert 'the residual net is 58.90 points below the plain one' in words
