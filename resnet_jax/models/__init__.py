"""The paper's networks, and those it compares them with, as Flax modules.

  from resnet_jax import models
  model = models.create('cifar_resnet20', num_classes=10)
  variables = models.init(model, jax.random.key(0), images.shape[1:])
  logits = model.apply(variables, images, train=False)
  maps = model.apply(variables, images, method=model.features)

This package imports JAX and Flax alone, and nothing else of this project.
"""

from resnet_jax.models.alexnet import AlexNet
from resnet_jax.models.blocks import BasicBlock, BottleneckBlock
from resnet_jax.models.complexity import count_macs, count_params
from resnet_jax.models.googlenet import GoogLeNet
from resnet_jax.models.initial import init
from resnet_jax.models.norm import GroupedBatchNorm
from resnet_jax.models.registry import (
  Network,
  available,
  baselines,
  create,
  input_shape,
)
from resnet_jax.models.resnet import ResNet, frozen_params
from resnet_jax.models.vgg import VGG

__all__ = [
  'VGG',
  'AlexNet',
  'BasicBlock',
  'BottleneckBlock',
  'GoogLeNet',
  'GroupedBatchNorm',
  'Network',
  'ResNet',
  'available',
  'baselines',
  'count_macs',
  'count_params',
  'create',
  'frozen_params',
  'init',
  'input_shape',
]
