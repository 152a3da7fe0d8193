"""ResNet-56 on CIFAR-10: Table 6, and Fig. 6 middle.

Test error in the paper: 6.97 %.
Good reproductions reach 6.6 to 7.4.
Cost: 853,018 parameters, 125.5 million multiply-adds, 6.2 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_resnet56.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_resnet56'
  return config
