"""ResNet-101 on ImageNet: Tables 3 and 4.

Validation error in the paper: 21.75 %, top-5 6.05 % (10-crop); 19.87 %, top-5
4.60 % (dense); the authors' own: 23.6, top-5 7.1 % (centre crop). Good
reproductions reach 21.7 to 22.6 % (centre crop).
Cost: 44,549,160 parameters, 7.570 billion multiply-adds, 7.0 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet101.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet101'
  return config
