"""Plain-110 on CIFAR-10: Fig. 6 left, the counterpart of ResNet-110.

Training error in the paper: above 60 %, and not shown in the figure.
Cost: 1,727,962 parameters, 252.9 million multiply-adds, 12.4 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_plain110.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_plain110'
  return config
