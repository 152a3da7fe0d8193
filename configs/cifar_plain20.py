"""Plain-20 on CIFAR-10: Fig. 6 left, the counterpart of ResNet-20.

Test error in the paper, read off the figure: 9.65 %.
Good reproductions reach 9.5 to 9.9.
Cost: 269,722 parameters, 40.6 million multiply-adds, 2.0 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_plain20.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_plain20'
  return config
