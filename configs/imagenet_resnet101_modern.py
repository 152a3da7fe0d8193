"""ResNet-101 on ImageNet by a later recipe, which is NOT the paper's.

The recipe is in imagenet_modern.py.
Validation error that good reproductions reach: 21.7 to 22.6 % (centre crop).
Cost: 44,549,160 parameters, 7.801 billion multiply-adds, 5.40 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet101_modern.py
"""

import ml_collections

from configs import imagenet_modern


def get_config() -> ml_collections.ConfigDict:
  config = imagenet_modern.get_config()
  config.model.name = 'resnet101'
  config.model.version = 'v1.5'
  return config
