"""ResNet-34 on ImageNet, shortcut C: Tables 3 and 4.

Validation error in the paper: 24.19 %, top-5 7.40 % (10-crop); 21.53 %, top-5
5.60 % (dense).
Cost: 22,716,840 parameters, 3.831 billion multiply-adds, 3.5 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet34_c.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet34'
  config.model.shortcut = 'C'
  return config
