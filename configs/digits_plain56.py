"""Plain-56 on scikit-learn's digits: TODO

python -m resnet_jax.main --config=configs/digits_plain56.py
"""

import ml_collections

from configs import digits


def get_config() -> ml_collections.ConfigDict:
  config = digits.get_config()
  config.model.name = 'cifar_plain56'
  return config
