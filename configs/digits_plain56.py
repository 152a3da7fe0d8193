"""Plain-56 on scikit-learn's digits: the degradation of Fig. 6, left.

Not a row of the paper. Seen over three seeds, at the end of 500 steps:
44 to 62 % TRAINING error, where ResNet-56 has less than 1 %.
Cost: 852,730 parameters; two to five minutes on two cores.

  python -m resnet_jax.main --config=configs/digits_plain56.py
"""

import ml_collections

from configs import digits


def get_config() -> ml_collections.ConfigDict:
  config = digits.get_config()
  config.model.name = 'cifar_plain56'
  return config
