"""ResNet-152 on ImageNet: Tables 3 and 4.

Validation error in the paper: 21.43 %, top-5 5.71 % (10-crop); 19.38 %, top-5
4.49 % (dense); the authors' own: 23.0, top-5 6.7 % (centre crop). Good
reproductions reach 21.5 to 22.2 % (centre crop).
Cost: 60,192,808 parameters, 11.282 billion multiply-adds, 10.4 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet152.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet152'
  return config
