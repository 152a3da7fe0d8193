"""Plain-34 on ImageNet: Tables 2 and 3, and Fig. 4 left.

Validation error in the paper: 28.54 %, top-5 10.02 % (10-crop), 32.4 % at the
end of Fig. 4 (centre crop): deeper, and worse than plain-18.
Cost: 21,623,848 parameters, 3.644 billion multiply-adds, 3.4 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_plain34.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'plain34'
  return config
