"""Deep Residual Learning for Image Recognition (He et al. 2015) in JAX.

  from resnet_jax import models
  model = models.create('cifar_resnet56')

Importing this package, or `resnet_jax.models`, imports JAX and Flax alone.
"""

import sys

from resnet_jax import missing, signals

if signals.is_our_command():
  missing.report_uncaught()
  signals.end_at_once()  # before the seconds in which all else is imported
  if any(word.lstrip('-').startswith('coordinator') for word in sys.orig_argv):
    signals.hold()

__version__ = '0.2.0'
