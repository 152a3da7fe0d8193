"""The limit that a machine sets: a network's arithmetic and its fewest bytes.

A step cannot take less time than its floating-point operations at the machine's
rate of matrix products, nor than its bytes at the rate of the memory. The bytes
are the fewest if no cache holds a map from one layer to the next, and
everything between two convolutions (BN, ReLU, the addition) is done on the fly:

- testing: each map between convolutions is written and read once, and each
  weight is read once a batch;
- training: each map is written once, and read once forward and once backward;
  its gradient is written and read once; each weight and its momentum are read
  and written once a step.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from resnet_jax.models import count_macs
from resnet_jax.models.complexity import abstract_variables, layers

# Passes over each map's bytes, and over each parameter's.
_MAP_PASSES = {'testing': 2, 'training': 5}
_PARAMETER_PASSES = {'testing': 1, 'training': 4}
_FLOAT32 = 4


@dataclasses.dataclass(frozen=True)
class Work:
  """The least work of a batch.

  Attributes:
    flops: Floating-point operations; a multiply-add is two.
    bytes: Bytes to and from memory.
  """

  flops: float
  bytes: float

  def seconds(self, flops_rate: float, bytes_rate: float) -> float:
    """The least time, at a machine's FLOPs and bytes per second."""
    return max(self.flops / flops_rate, self.bytes / bytes_rate)


def least_work(
  model: Any,
  image_shape: Sequence[int],
  *,
  batch: int,
  item_bytes: int,
  training: bool,
) -> Work:
  """The least work of one batch in training or in testing.

  Args:
    model: The network.
    image_shape: Height, width, channels.
    batch: Images.
    item_bytes: Bytes of a number in a map: 4, or 2 in bfloat16.
    training: Whether gradients are computed and weights updated.
  """
  kind = 'training' if training else 'testing'
  variables = abstract_variables(model, image_shape)
  found = layers(model, image_shape, variables=variables)
  macs = count_macs(model, image_shape)
  if training:  # the gradients of weights and inputs; the image needs none
    macs = 3 * macs - found[0].macs
  numbers = sum(math.prod(layer.output_shape) for layer in found)
  parameters = sum(layer.params for layer in found)
  return Work(
    flops=2.0 * macs * batch,
    bytes=float(
      _MAP_PASSES[kind] * numbers * batch * item_bytes
      + _PARAMETER_PASSES[kind] * parameters * _FLOAT32
    ),
  )
