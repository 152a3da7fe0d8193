"""ResNet-50 on ImageNet by a later recipe, which is NOT the paper's.

The recipe is in imagenet_modern.py.
Validation error that good reproductions reach: 23.3 to 24.0 % (centre crop).
Cost: 25,557,032 parameters, 4.089 billion multiply-adds, 2.83 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet50_modern.py
"""

import ml_collections

from configs import imagenet_modern


def get_config() -> ml_collections.ConfigDict:
  config = imagenet_modern.get_config()
  config.model.name = 'resnet50'
  config.model.version = 'v1.5'
  return config
