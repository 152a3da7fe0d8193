"""ResNet-152 on ImageNet by a later recipe, which is NOT the paper's.

The recipe is in imagenet_modern.py.
Validation error that good reproductions reach: 21.5 to 22.2 % (centre crop).
Cost: 60,192,808 parameters, 11.514 billion multiply-adds, 7.97 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet152_modern.py
"""

import ml_collections

from configs import imagenet_modern


def get_config() -> ml_collections.ConfigDict:
  config = imagenet_modern.get_config()
  config.model.name = 'resnet152'
  config.model.version = 'v1.5'
  return config
