"""The options that steps are compiled with: known ones only, and right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import compiler
from resnet_jax.models.norm import GroupedBatchNorm

_options = compiler.options


@pytest.fixture(autouse=True)
def fresh_options():
  _options.cache_clear()
  yield
  _options.cache_clear()


def test_an_option_that_jaxlib_does_not_know_is_left_out(monkeypatch, caplog):
  known = 'xla_disable_hlo_passes'
  monkeypatch.setattr(
    compiler,
    '_OPTIONS',
    {'cpu': {'xla_no_such_option': 'true', known: 'none'}},
  )
  caplog.set_level('INFO')
  assert compiler.options('cpu') == {known: 'none'}
  (line,) = (r.message for r in caplog.records if r.name == 'resnet_jax')
  assert 'xla_no_such_option' in line


def test_an_option_of_the_user_is_respected(monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', '--xla_disable_hlo_passes=algsimp')
  assert 'xla_disable_hlo_passes' not in compiler.options('cpu')


def test_each_combination_of_shapes_has_a_program_of_its_own():
  compiled = compiler.Compiled(jax.pmap(lambda x: 2 * x, axis_name='batch'))
  for shape in (1, 3), (1, 5), (1, 3):
    x = jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)
    np.testing.assert_array_equal(compiled(x), 2 * x)
  for dtype in jnp.int32, jnp.float32:
    assert compiled(jnp.ones((1, 3), dtype)).dtype == dtype


def test_the_options_reach_the_compiler(monkeypatch):
  unknown = {'xla_no_such_option': 'true'}
  monkeypatch.setattr(compiler, 'options', lambda backend: unknown)
  compiled = compiler.Compiled(jax.pmap(lambda x: 2 * x))
  with pytest.raises(jax.errors.JaxRuntimeError, match='xla_no_such_option'):
    compiled(jnp.ones((1, 3)))


# Examples, side and channels of maps of the paper's networks, and odd ones.
_MAPS = [
  (128, 32, 16),
  (64, 16, 32),
  (8, 8, 64),
  (4, 112, 64),
  (2, 56, 256),
  (8, 7, 2048),
  (3, 33, 5),
  (1, 1, 10),
]


@pytest.mark.parametrize('examples, side, channels', _MAPS)
def test_statistics_and_gradients_of_bn_are_right(examples, side, channels):
  """XLA's libraries add in their own order, and one release added wrongly."""
  rng = np.random.default_rng(0)
  shape = examples, side, side, channels
  x = 3 * rng.normal(size=shape) + 1
  weight = rng.normal(size=shape)
  norm = GroupedBatchNorm()

  def loss(x, scale, bias, weight):
    variables = {
      'params': {'scale': scale, 'bias': bias},
      'batch_stats': {
        'mean': jnp.zeros(channels, x.dtype),
        'var': jnp.ones(channels, x.dtype),
      },
    }
    y, updates = norm.clone(dtype=x.dtype).apply(
      variables, x, use_running_average=False, mutable=['batch_stats']
    )
    return (y * weight).sum(), updates['batch_stats']

  gradient = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))

  def compute(dtype, options):
    args = x, rng_scale, rng_scale - 1, weight
    args = [jnp.asarray(a, dtype) for a in args]
    lowered = gradient.lower(*args)
    return jax.device_get(lowered.compile(compiler_options=options)(*args))

  rng_scale = rng.normal(size=channels) + 1
  with jax.enable_x64(True):
    truth = compute(jnp.float64, None)
  ours = compute(jnp.float32, compiler.options('cpu'))
  for right, got in zip(*map(jax.tree.leaves, (truth, ours)), strict=True):
    scale = max(np.abs(right).max(), 1e-3)
    np.testing.assert_allclose(got / scale, right / scale, atol=2e-4)
