"""ResNet-20 on CIFAR-10: Table 6, and Fig. 6 middle.

Test error in the paper: 8.75 %.
Good reproductions reach 8.0 to 8.75.
Cost: 269,722 parameters, 40.6 million multiply-adds, 2.0 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_resnet20.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_resnet20'
  return config
