"""GroupedBatchNorm against Flax's, NumPy, PyTorch, and itself on devices."""

import os
import pathlib
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.models import GroupedBatchNorm

SHAPE = (8, 3, 5, 4)
GROUPS = [1, 2, 4, 8, 0]


def data():
  """A batch far from zero mean and unit variance; variables; a cotangent."""
  rng = np.random.default_rng(0)
  x = rng.normal(2, 3, SHAPE)
  variables = {
    'params': {'scale': rng.uniform(0.5, 2, 4), 'bias': rng.normal(size=4)},
    'batch_stats': {'mean': rng.normal(size=4), 'var': rng.uniform(1, 2, 4)},
  }
  return x, variables, rng.normal(size=SHAPE)


def apply(norm, variables, x, train=True):
  y, updates = norm.apply(
    variables, x, use_running_average=not train, mutable=['batch_stats']
  )
  return y, updates['batch_stats']


def in_groups(x, size):
  return x.reshape(-1, size or len(x), *x.shape[1:])


@pytest.mark.parametrize('train', [False, True], ids=['eval', 'train'])
def test_one_group_equals_flaxs_batch_norm(train):
  x, variables, _ = jax.tree.map(np.float32, data())
  flaxs = nn.BatchNorm(momentum=0.9, epsilon=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    apply(GroupedBatchNorm(), variables, x, train),
    apply(flaxs, variables, x, train),
  )


@pytest.mark.parametrize('size', GROUPS)
def test_each_group_is_normalized_by_its_own_statistics(size):
  x, variables, _ = data()
  with jax.enable_x64(True):
    norm = GroupedBatchNorm(group_size=size, dtype=jnp.float64)
    y, _ = apply(norm, variables, x)
  groups = in_groups(x, size)
  axes = (1, 2, 3)
  mean, var = groups.mean(axes, keepdims=True), groups.var(axes, keepdims=True)
  expected = ((groups - mean) / np.sqrt(var + 1e-5)).reshape(SHAPE)
  params = variables['params']
  expected = expected * params['scale'] + params['bias']
  np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('momentum', [0.9, 0.5])
@pytest.mark.parametrize('size', GROUPS)
def test_running_statistics_average_the_groups_biased_ones(size, momentum):
  x, variables, _ = data()
  with jax.enable_x64(True):
    norm = GroupedBatchNorm(
      group_size=size, momentum=momentum, dtype=jnp.float64
    )
    _, stats = apply(norm, variables, x)
  groups, before = in_groups(x, size), variables['batch_stats']
  for name, batch in (
    ('mean', groups.mean((1, 2, 3))),
    ('var', groups.var((1, 2, 3))),
  ):
    expected = momentum * before[name] + (1 - momentum) * batch.mean(0)
    np.testing.assert_allclose(stats[name], expected, rtol=1e-9)


def test_eval_normalizes_by_the_running_statistics_and_keeps_them():
  x, variables, _ = data()
  with jax.enable_x64(True):
    # Groups that no batch of 8 can be split into do not matter here.
    norm = GroupedBatchNorm(group_size=3, dtype=jnp.float64)
    y, stats = apply(norm, variables, x, train=False)
  before, params = variables['batch_stats'], variables['params']
  expected = (x - before['mean']) / np.sqrt(before['var'] + 1e-5)
  expected = expected * params['scale'] + params['bias']
  np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
  jax.tree.map(np.testing.assert_array_equal, stats, before)


@pytest.mark.parametrize('size', GROUPS)
def test_gradients_equal_torchs(size):
  torch = pytest.importorskip('torch')
  x, variables, cotangent = data()
  with jax.enable_x64(True):
    norm = GroupedBatchNorm(group_size=size, dtype=jnp.float64)

    def loss(params, x):
      y, _ = apply(norm, {**variables, 'params': params}, x)
      return (y * cotangent).sum()

    ours = jax.grad(loss, (0, 1))(variables['params'], x)

  there = jax.tree.map(
    lambda a: torch.tensor(a, requires_grad=True), (variables['params'], x)
  )
  params, x_there = there
  y = torch.cat(
    [
      torch.nn.functional.batch_norm(
        group.movedim(-1, 1),
        None,
        None,
        params['scale'],
        params['bias'],
        training=True,
        eps=1e-5,
      ).movedim(1, -1)
      for group in x_there.split(size or len(x))
    ]
  )
  (y * torch.tensor(cotangent)).sum().backward()
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b.grad.numpy(), rtol=1e-9, atol=1e-9
    ),
    ours,
    there,
  )


def test_a_constant_map_gives_its_offset_and_finite_gradients():
  # E[x^2] - E[x]^2 may round to less than 0, of which rsqrt makes NaN.
  x = jnp.full((4, 5, 7, 3), 1000.1)
  norm = GroupedBatchNorm(group_size=2)
  variables = norm.init(jax.random.key(0), x, use_running_average=False)
  gradient = jax.grad(lambda x: apply(norm, variables, x)[0].sum())(x)
  y, stats = apply(norm, variables, x)
  assert all(jnp.isfinite(a).all() for a in (y, gradient))
  assert (stats['var'] >= 0.9 - 1e-6).all()


def test_bfloat16_input_is_normalized_with_float32_statistics():
  x, variables, _ = jax.tree.map(np.float32, data())
  narrow = jnp.asarray(x, jnp.bfloat16)
  y, stats = apply(GroupedBatchNorm(dtype=jnp.bfloat16), variables, narrow)
  exact, wide = apply(GroupedBatchNorm(), variables, narrow.astype('float32'))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_array_equal(y, exact.astype(jnp.bfloat16))
  assert stats['mean'].dtype == stats['var'].dtype == jnp.float32
  jax.tree.map(np.testing.assert_array_equal, stats, wide)


def test_init_takes_a_single_example_and_counts_it_not():
  norm = GroupedBatchNorm(group_size=64, axis_name='batch')
  variables = norm.init(
    jax.random.key(0),
    5 + jnp.arange(12.0).reshape(1, 2, 2, 3),
    use_running_average=False,
  )
  stats = variables['batch_stats']
  np.testing.assert_array_equal(stats['mean'], np.zeros(3))
  np.testing.assert_array_equal(stats['var'], np.ones(3))


@pytest.mark.parametrize('size', [3, 5, 16])
def test_groups_that_do_not_divide_the_batch_are_refused(size):
  x, variables, _ = data()
  message = f'a batch of 8 examples cannot be split into BN groups of {size};'
  with pytest.raises(ValueError, match=message):
    apply(GroupedBatchNorm(group_size=size), variables, x)


def test_four_devices_equal_one():
  # The number of devices is fixed when JAX starts: a process of its own.
  script = pathlib.Path(__file__).with_name('norm_on_devices.py')
  environment = os.environ | {
    'XLA_FLAGS': '--xla_force_host_platform_device_count=4',
    'JAX_PLATFORMS': 'cpu',
    'PYTHONPATH': str(script.parents[2]),
  }
  done = subprocess.run(
    [sys.executable, '-W', 'error', script],
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
