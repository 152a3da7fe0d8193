"""Plain-56 on CIFAR-10: Fig. 6 left, the counterpart of ResNet-56.

Test error in the paper, read off the figure: 13.25 %.
Good reproductions reach 12.8 to 14.2.
Cost: 853,018 parameters, 125.5 million multiply-adds, 6.2 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_plain56.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_plain56'
  return config
