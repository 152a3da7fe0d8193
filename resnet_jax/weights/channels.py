"""The order of channels in a CIFAR net with parameter-free shortcuts.

Where the channels double, option A puts the old ones beside as many new ones,
which are zero in the shortcut. We append the new ones: old, new. The common
PyTorch reimplementation puts half of the new ones on each side: new, old, new.
Everything else is symmetric in the channels, so the networks are the same up to
the order of the channels of each stage's residual stream:

  stage      our channel i is PyTorch's channel ...
  conv2_x    i
  conv3_x    i + 8 for i < 16; then 0 ... 7, 24 ... 31
  conv4_x    16 + (conv3_x's channel) for i < 32; then 0 ... 15, 48 ... 63

The last convolution and BN of a stage's blocks write its stream; their first
convolution, the next stage and `fc` read it. The channels inside a block,
between its two convolutions, are in no stream and keep their order.
"""

from collections.abc import Sequence

import numpy as np


def stream_orders(filters: Sequence[int]) -> list[np.ndarray]:
  """PyTorch's channel for each of our channels, int [filters], by stage.

  Args:
    filters: Channels of each stage; each is twice the one before.
  """
  orders = [np.arange(filters[0])]
  for count in filters[1:]:
    old = orders[-1] + count // 4
    new = np.setdiff1d(np.arange(count), old)
    orders.append(np.concatenate([old, new]))
  return orders


def orders_of(
  name: str, orders: Sequence[np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray | None]:
  """The orders of the channels that a variable reads and that it writes.

  None stands for channels that keep their order. The channels of a vector, such
  as BN's scale, count as written.

  Args:
    name: Name of a variable of a CIFAR net with shortcut A, such as
      `params/conv3_x/block1/conv2/kernel`.
    orders: The result of `stream_orders`.
  """
  _, *path, module, leaf = name.split('/')
  if not path:
    if module == 'fc':
      return (orders[-1], None) if leaf == 'kernel' else (None, None)
    # The stem; its conv1 reads the colours of the image.
    return None, orders[0]
  stage, block = path
  index = int(stage.removeprefix('conv').removesuffix('_x')) - 2
  if module == 'conv1':
    first = block == 'block1' and index > 0
    return orders[index - 1 if first else index], None
  if module == 'bn1':
    return None, None
  return None, orders[index]
