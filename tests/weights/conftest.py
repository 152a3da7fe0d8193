"""The arrays of a small CIFAR net, which the tests leave as they are."""

import pytest


@pytest.fixture(scope='session')
def cifar_arrays():
  # Inside the fixture, so that only what uses it is skipped without PyTorch.
  from tests.weights.reference import CifarNet, arrays_of, randomize

  return arrays_of(randomize(CifarNet(1)))
