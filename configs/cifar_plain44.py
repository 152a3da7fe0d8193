"""Plain-44 on CIFAR-10: Fig. 6 left, the counterpart of ResNet-44.

Test error in the paper, read off the figure: 11.4 %.
Good reproductions reach 10.4 to 11.4.
Cost: 658,586 parameters, 97.2 million multiply-adds, 4.8 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_plain44.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_plain44'
  return config
