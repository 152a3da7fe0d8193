"""GroupedBatchNorm over four devices against one device; exits 0 if equal.

XLA_FLAGS=--xla_force_host_platform_device_count=4 python norm_on_devices.py
"""

import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax.models import GroupedBatchNorm

DEVICES = 4
SHARE = 4
AXIS = 'batch'


def results_of(norm, variables, x, cotangent):
  """Output, new running statistics, gradients of sum(output * cotangent)."""

  def loss(params, x):
    y, updates = norm.apply(
      {**variables, 'params': params},
      x,
      use_running_average=False,
      mutable=['batch_stats'],
    )
    return (y * cotangent).sum(), (y, updates['batch_stats'])

  gradients, (y, stats) = jax.grad(loss, (0, 1), has_aux=True)(
    variables['params'], x
  )
  of_params, of_x = gradients
  if norm.axis_name is not None:
    of_params = jax.lax.psum(of_params, norm.axis_name)
  return {'y': y, 'stats': stats, 'params': of_params, 'x': of_x}


def check(group_size, variables, x, cotangent):
  norm = GroupedBatchNorm(group_size=group_size, dtype=jnp.float64)
  one = jax.device_get(results_of(norm, variables, x, cotangent))
  on_four = jax.pmap(
    lambda x, cotangent: results_of(
      norm.clone(axis_name=AXIS), variables, x, cotangent
    ),
    axis_name=AXIS,
  )
  split = (DEVICES, SHARE, *x.shape[1:])
  four = jax.device_get(on_four(x.reshape(split), cotangent.reshape(split)))
  for name in ('y', 'x'):
    np.testing.assert_allclose(
      four[name].reshape(x.shape), one[name], rtol=1e-12, atol=1e-12
    )
  for name in ('stats', 'params'):
    for ours, reference in zip(
      jax.tree.leaves(four[name]), jax.tree.leaves(one[name]), strict=True
    ):
      assert reference.dtype == np.float64
      # Each device holds them, and they are the same on all.
      assert ours.shape == (DEVICES, *reference.shape)
      np.testing.assert_allclose(
        ours, np.broadcast_to(reference, ours.shape), rtol=1e-12, atol=1e-12
      )


def check_misfit(group_size, share, variables):
  """Groups that split the batch, but not along the devices."""
  x = np.zeros((DEVICES, share, 2, 2, 3))
  norm = GroupedBatchNorm(group_size=group_size, axis_name=AXIS)
  try:
    jax.pmap(lambda x: results_of(norm, variables, x, x), axis_name=AXIS)(x)
  except ValueError as error:
    assert 'do not fit devices that hold 6 each' in str(error), error
  else:
    raise AssertionError(f'groups of {group_size} went through')


def main():
  jax.config.update('jax_enable_x64', True)
  assert jax.device_count() == DEVICES
  rng = np.random.default_rng(0)
  x, cotangent = rng.normal(1, 2, (2, DEVICES * SHARE, 3, 2, 3))
  variables = {
    'params': {'scale': rng.uniform(0.5, 2, 3), 'bias': rng.normal(size=3)},
    'batch_stats': {'mean': rng.normal(size=3), 'var': rng.uniform(1, 2, 3)},
  }
  # Two and one group a device; groups of two devices, and of all four (twice).
  for group_size in (2, 4, 8, 16, 0):
    check(group_size, variables, x, cotangent)
  for group_size in (4, 8):
    check_misfit(group_size, 6, variables)


if __name__ == '__main__':
  main()
