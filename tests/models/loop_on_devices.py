"""Compares blocks in a loop with blocks one by one on simulated devices.

  python -m tests.models.loop_on_devices DEVICES

BN groups span two devices each, so that the loop holds collectives.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax import models


def main(devices: int) -> None:
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', devices)
  jax.config.update('jax_enable_x64', True)
  jax.config.update('jax_disable_most_optimizations', True)
  model = models.create(
    'cifar_resnet20', dtype=jnp.float64, bn_group_size=4, axis_name='batch'
  )
  variables = models.init(model, jax.random.key(0), (8, 8, 3))
  shape = (devices, 8 // devices, 8, 8, 3)
  images = jax.random.normal(jax.random.key(1), shape, jnp.float64)

  def results(model, variables, images):
    def loss(params):
      logits, updates = model.apply(
        variables | {'params': params},
        images,
        train=True,
        mutable=['batch_stats'],
      )
      return jnp.square(logits).mean(), (logits, updates)

    gradients, rest = jax.grad(loss, has_aux=True)(variables['params'])
    return jax.lax.pmean(gradients, 'batch'), rest

  actual, desired = (
    jax.pmap(
      lambda *x, net=net: results(net, *x),
      axis_name='batch',
      in_axes=(None, 0),
    )(variables, images)
    for net in (model.clone(scan_blocks=True), model)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12),
    actual,
    desired,
  )


if __name__ == '__main__':
  main(int(sys.argv[1]))
