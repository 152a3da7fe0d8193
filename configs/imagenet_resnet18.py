"""ResNet-18 on ImageNet, shortcut A: Table 2, and Fig. 4 right.

Validation error in the paper: 27.88 % (10-crop), 31.0 % at the end of Fig. 4
(centre crop).
Cost: 11,515,688 parameters, 1.795 billion multiply-adds, 1.7 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet18.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet18'
  return config
