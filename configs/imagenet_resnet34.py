"""ResNet-34 on ImageNet, shortcut A: Tables 2 and 3, and Fig. 4 right.

Validation error in the paper: 25.03 %, top-5 7.76 % (10-crop), 28.25 % at the
end of Fig. 4 (centre crop).
Cost: 21,623,848 parameters, 3.644 billion multiply-adds, 3.4 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet34.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet34'
  return config
