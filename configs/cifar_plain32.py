"""Plain-32 on CIFAR-10: Fig. 6 left, the counterpart of ResNet-32.

Test error in the paper, read off the figure: 10.1 %.
Good reproductions reach 9.9 to 10.1.
Cost: 464,154 parameters, 68.9 million multiply-adds, 3.4 PFLOP a run.

  python -m resnet_jax.main --config=configs/cifar_plain32.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.model.name = 'cifar_plain32'
  return config
