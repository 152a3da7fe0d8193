"""ResNet-18 on ImageNet, shortcut B: Sec. 4.1; not in a table of the paper.

Validation error that good reproductions reach: 29.7 to 30.4 % (centre crop,
shortcut B).
Cost: 11,689,512 parameters, 1.814 billion multiply-adds, 1.7 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_resnet18_b.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.model.name = 'resnet18'
  config.model.shortcut = 'B'
  return config
