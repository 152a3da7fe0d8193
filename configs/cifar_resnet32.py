"""ResNet-32 on CIFAR-10: Table 6, and Fig. 6 middle.

Test error in the paper: 7.51 %.
Good reproductions reach 7.3 to 7.6.
Cost: 464,154 parameters, 68.9 million multiply-adds, 3.4 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_resnet32.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_resnet32'
  return config
