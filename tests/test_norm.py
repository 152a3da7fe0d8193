"""Grouped BatchNorm against Flax's and against NumPy, on one device.

That groups may span devices is shown by test_devices.py.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.models import GroupedBatchNorm

SHAPE = (8, 3, 5, 4)


@pytest.fixture
def x():
  # Far from zero mean and unit variance.
  return 2 + 3 * jax.random.normal(jax.random.key(0), SHAPE)


def variables():
  rng = np.random.default_rng(0)
  low, high = (rng.uniform(0.5, 1.5, (2, 4)).astype(np.float32) for _ in 'ab')
  return {
    'params': {'scale': low[0], 'bias': low[1]},
    'batch_stats': {'mean': high[0], 'var': high[1]},
  }


def test_one_group_is_flaxs_batch_norm(x):
  theirs = nn.BatchNorm(momentum=0.9, epsilon=1e-5)
  ours = GroupedBatchNorm()
  for running in (False, True):
    results = [
      norm.apply(
        variables(), x, use_running_average=running, mutable=['batch_stats']
      )
      for norm in (ours, theirs)
    ]
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('size', [1, 2, 4, 8])
def test_statistics_are_the_groups_own(x, size):
  norm = GroupedBatchNorm(group_size=size)
  y, updates = norm.apply(
    variables(), x, use_running_average=False, mutable=['batch_stats']
  )
  before, params = variables()['batch_stats'], variables()['params']
  groups = np.asarray(x, np.float64).reshape(-1, size, *SHAPE[1:])
  mean, var = groups.mean((1, 2, 3)), groups.var((1, 2, 3))  # biased
  wide = np.s_[:, None, None, None]
  expected = (groups - mean[wide]) / np.sqrt(var[wide] + 1e-5)
  expected = expected.reshape(SHAPE) * params['scale'] + params['bias']
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
  for name, batch in (('mean', mean), ('var', var)):
    np.testing.assert_allclose(
      updates['batch_stats'][name],
      0.9 * before[name] + 0.1 * batch.mean(0),
      rtol=1e-5,
    )


def test_gradients_stay_in_the_group(x):
  norm = GroupedBatchNorm(group_size=4)

  def first_group(x):
    y, _ = norm.apply(
      variables(), x, use_running_average=False, mutable=['batch_stats']
    )
    return jnp.sin(y[:4]).sum()

  gradient = jax.grad(first_group)(x)
  assert (gradient[4:] == 0).all()
  assert (gradient[:4] != 0).any()


def test_initialization_takes_one_example_and_counts_it_not():
  norm = GroupedBatchNorm(group_size=64, axis_name='batch')
  start = norm.init(
    jax.random.key(0), jnp.ones((1, 2, 2, 3)), use_running_average=False
  )
  assert (start['batch_stats']['mean'] == 0).all()
  assert (start['batch_stats']['var'] == 1).all()
