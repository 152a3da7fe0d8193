"""ResNet-18 on ImageNet by a later recipe, which is NOT the paper's.

The recipe is in imagenet_modern.py.
Validation error that good reproductions reach: 29.7 to 30.4 % (centre crop).
Cost: 11,689,512 parameters, 1.814 billion multiply-adds, 1.25 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet18_modern.py
"""

import ml_collections

from configs import imagenet_modern


def get_config() -> ml_collections.ConfigDict:
  config = imagenet_modern.get_config()
  config.model.name = 'resnet18'
  config.model.shortcut = 'B'
  return config
