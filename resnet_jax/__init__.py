"""Deep Residual Learning for Image Recognition (He et al. 2015) in JAX.

  from resnet_jax import models
  model = models.create('cifar_resnet56')

Importing this package, or `resnet_jax.models`, imports JAX and Flax alone.
"""

__version__ = '0.2.0'
