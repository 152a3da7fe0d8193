"""ResNet-50 on ImageNet: Tables 3 and 4.

Validation error in the paper: 22.85 %, top-5 6.71 % (10-crop); 20.74 %, top-5
5.25 % (dense); the authors' own: 24.7, top-5 7.8 % (centre crop). Good
reproductions reach 23.3 to 24.0 % (centre crop).
Cost: 25,557,032 parameters, 3.858 billion multiply-adds, 3.6 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet50.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet50'
  return config
