"""ResNet-34 on ImageNet, shortcut B: Tables 3 and 4.

Validation error in the paper: 24.52 %, top-5 7.46 % (10-crop); 21.84 %, top-5
5.71 % (dense). Good reproductions reach 26.2 to 26.7 % (centre crop).
Cost: 21,797,672 parameters, 3.664 billion multiply-adds, 3.4 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet34_b.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet34'
  config.model.shortcut = 'B'
  return config
