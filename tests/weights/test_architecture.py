"""The network that weights belong to, and families that are refused."""

import numpy as np
import pytest

from resnet_jax import weights
from resnet_jax.errors import UserError
from tests.weights.reference import arrays_of, torchvision_net


@pytest.mark.parametrize(
  ('name', 'overrides'),
  [
    ('resnet34', {'shortcut': 'B', 'stem_pool': 'padded'}),
    (
      'resnet50',
      {'shortcut': 'B', 'stem_pool': 'padded', 'version': 'v1.5'},
    ),
  ],
)
def test_detect(name, overrides):
  found = weights.detect(arrays_of(torchvision_net(name, num_classes=5)))
  assert found == weights.Architecture(name, 5, overrides)


def zeros(**shapes):
  return {
    name.replace('_', '.'): np.zeros(s, np.float32)
    for name, s in shapes.items()
  }


@pytest.mark.parametrize(
  ('arrays', 'words'),
  [
    (zeros(conv1_0_weight=(32, 3, 3, 3)), 'its stem is several convolutions'),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7), layer1_0_downsample_1_weight=(256, 64, 1, 1)
      ),
      'pool before they project',
    ),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7),
        layer1_0_conv1_weight=(128, 64, 1, 1),
        layer1_0_conv2_weight=(128, 4, 3, 3),
      ),
      'reads 4 of 128 channels at a time, as in ResNeXt',
    ),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7),
        layer1_0_conv1_weight=(128, 64, 1, 1),
        layer1_0_conv2_weight=(128, 128, 3, 3),
      ),
      '128 channels wide and not 64 .*Wide ResNet',
    ),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7),
        layer1_1_conv3_weight=(1,),
        layer2_1_conv3_weight=(1,),
      ),
      'a 7x7 stem and stages of 2, 2 bottleneck blocks',
    ),
    (zeros(stem_weight=(64, 3, 7, 7)), r'no conv1.weight; .*stem.weight'),
    (zeros(conv1_weight=(64, 3, 5, 5)), 'no 7x7'),
  ],
)
def test_other_families_are_refused(arrays, words):
  with pytest.raises(UserError, match=words):
    weights.detect(arrays | zeros(fc_weight=(10, 64)))
  with pytest.raises(UserError, match='no last layer'):
    weights.detect(arrays)
