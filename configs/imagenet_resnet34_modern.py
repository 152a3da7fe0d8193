"""ResNet-34 on ImageNet by a later recipe, which is NOT the paper's.

The recipe is in imagenet_modern.py.
Validation error that good reproductions reach: 26.2 to 26.7 % (centre crop).
Cost: 21,797,672 parameters, 3.664 billion multiply-adds, 2.53 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet34_modern.py
"""

import ml_collections

from configs import imagenet_modern


def get_config() -> ml_collections.ConfigDict:
  config = imagenet_modern.get_config()
  config.model.name = 'resnet34'
  config.model.shortcut = 'B'
  return config
