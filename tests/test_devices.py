"""The result does not depend on the number of devices."""

import functools

import numpy as np
import pytest

from tests import layouts
from tests.layouts import distance, furthest

slow, long = pytest.mark.slow, pytest.mark.long

# BN groups of 4 lie inside a device's share of 16 examples, even of 4 devices;
# groups of 8 span two of 4 devices; one group of all 16 spans all.
CASES = (
  pytest.param(4, 8, 5),
  pytest.param(4, 8, 50, marks=long),
  pytest.param(4, 4, 50, marks=long),
  pytest.param(4, 0, 50, marks=long),
  pytest.param(2, 4, 50, marks=long),
  pytest.param(2, 8, 50, marks=long),
  pytest.param(2, 0, 50, marks=long),
)


@pytest.fixture(scope='module')
def one_device(tmp_path_factory, digits_npz):
  """Results on one device by dtype, group and steps; each computed once."""

  @functools.cache
  def compute(dtype, group, steps):
    folder = tmp_path_factory.mktemp('one')
    return results(folder, digits_npz, dtype, group, steps, 1)

  return compute


def results(tmp_path, digits_npz, dtype, group, steps, devices):
  words = (
    *layouts.digits(digits_npz),
    f'--config.model.dtype={dtype}',
    f'--config.model.bn_group_size={group}',
    f'--steps={steps}',
  )
  return layouts.results(tmp_path, words, hosts=1, devices=devices)


@pytest.mark.parametrize(('devices', 'group', 'steps'), CASES)
def test_float64_runs_agree_after_many_steps(
  one_device, tmp_path, digits_npz, devices, group, steps
):
  one = one_device('float64', group, steps)
  many = results(tmp_path, digits_npz, 'float64', group, steps, devices)
  assert one.keys() == many.keys()
  assert furthest(many, one) < 1e-8
  # They did move: equality of what stands still would show nothing.
  assert one['state/step'] == steps
  np.testing.assert_array_equal(many['batches'], one['batches'])
  np.testing.assert_array_equal(many['evaluation/16'], one['evaluation/16'])


@slow
@pytest.mark.parametrize('devices', [2, 4])
def test_float32_gradients_of_the_first_step_agree(
  one_device, tmp_path, digits_npz, devices
):
  # Only the first: training amplifies rounding, whatever the devices.
  one = one_device('float32', 8, 1)
  many = results(tmp_path, digits_npz, 'float32', 8, 1, devices)
  names = [name for name in one if name.startswith('gradient/')]
  flat = [np.concatenate([r[n].ravel() for n in names]) for r in (one, many)]
  assert np.abs(flat[0]).max() > 1e-3
  assert distance(flat[1], flat[0]) < 1e-5
  np.testing.assert_array_equal(many['batches'], one['batches'])
