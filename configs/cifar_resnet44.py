"""ResNet-44 on CIFAR-10: Table 6, and Fig. 6 middle.

Test error in the paper: 7.17 %.
Good reproductions reach 6.9 to 7.4.
Cost: 658,586 parameters, 97.2 million multiply-adds, 4.8 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_resnet44.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_resnet44'
  return config
