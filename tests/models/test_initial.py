"""Initial weights: those of `model.init`, and of Flax's own initializers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models
from resnet_jax.models import initial


@pytest.fixture(scope='module', autouse=True)
def programs_of_full_optimization():
  """Tests before these may have compiled the same draws in another way."""
  jax.clear_caches()


@pytest.mark.parametrize(
  ('name', 'size', 'overrides'),
  [
    ('cifar_resnet8', 8, {'shortcut': 'B'}),
    ('cifar_plain8', 8, {'zero_init_residual': True}),
    ('alexnet', 64, {}),
    pytest.param('vgg16', 32, {}, marks=pytest.mark.slow),
    pytest.param('googlenet', 47, {}, marks=pytest.mark.slow),
  ],
)
def test_all_networks_begin_as_model_init_lets_them(name, size, overrides):
  model = models.create(name, num_classes=10, **overrides)
  key, shape = jax.random.key(3), (size, size, 3)
  variables = models.init(model, key, shape)
  jax.tree.map(
    np.testing.assert_array_equal,
    variables,
    model.init(key, jnp.zeros((1, *shape))),
  )
  # Whatever runs the network later finds arrays, and not shapes.
  assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(variables))


@pytest.mark.parametrize(
  ('ours', 'flax'),
  [
    (
      initial.he_normal,
      nn.initializers.variance_scaling(2.0, 'fan_in', 'normal'),
    ),
    (
      initial.xavier_uniform,
      nn.initializers.variance_scaling(1.0, 'fan_in', 'uniform'),
    ),
    (initial.normal(0.01), nn.initializers.normal(0.01)),
  ],
  ids=['he_normal', 'xavier_uniform', 'normal'],
)
@pytest.mark.parametrize('shape', [(3, 5, 6, 7), (70_000, 3)])
def test_numbers_are_those_of_flax_to_the_last_bit(ours, flax, shape):
  key = jax.random.key(5)
  expected = jax.jit(flax, static_argnums=1)(key, shape)
  np.testing.assert_array_equal(ours(key, shape), expected)
  # Within a compiled program, too.
  compiled = jax.jit(ours, static_argnums=1)(key, shape)
  np.testing.assert_array_equal(compiled, expected)


def test_float64_has_numbers_of_its_own():
  with jax.enable_x64(True):
    numbers = initial.he_normal(jax.random.key(0), (3, 3, 64, 64), jnp.float64)
    assert numbers.dtype == jnp.float64
    assert len(np.unique(numbers.astype(np.float32) - numbers)) > 30_000
    assert float(numbers.std()) == pytest.approx((2 / 576) ** 0.5, rel=0.02)
