"""VGG-19 on ImageNet: Fig. 3, left, and Table 4.

Validation error in the paper: 24.4 %, top-5 7.1 % (Table 4: "v5", the best of
the VGG nets, dense and cropped). Here VGG has no --config.test.views=dense.
As with the authors, the recipe is that of VGG-16; see imagenet_vgg16.py.
Cost: 143,667,240 parameters, 19.632 billion multiply-adds, 11.2 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_vgg19.py
"""

import ml_collections

from configs import imagenet_vgg16


def get_config() -> ml_collections.ConfigDict:
  config = imagenet_vgg16.get_config()
  config.model.name = 'vgg19'
  return config
