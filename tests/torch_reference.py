"""The paper's networks once more, in PyTorch functions on our variables.

Written from the paper and from the names of the variables alone, so that it
shares no code with what it checks: float64, NCHW, one BN group.
"""

import numpy as np
import torch
import torch.nn.functional as F


class Reference:
  """Logits of a network whose variables are a nested dict of arrays."""

  def __init__(self, variables, *, stem, version='v1', shortcut='A'):
    self.params = {
      path: torch.tensor(np.asarray(x), requires_grad=True)
      for path, x in flatten(variables['params'])
    }
    self.stats = {
      path: torch.tensor(np.asarray(x))
      for path, x in flatten(variables['batch_stats'])
    }
    self.stem, self.version, self.shortcut = stem, version, shortcut

  def __call__(self, images, train):
    x = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)
    stride, pad = (2, 3) if self.stem == 'imagenet' else (1, 1)
    x = F.relu(self.bn('bn1', self.conv('conv1', x, stride, pad), train))
    if self.stem == 'imagenet':
      x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    stages = sorted({p.split('/')[0] for p in self.params if '_x/' in p})
    for number, stage in enumerate(stages):
      names = {p.split('/')[1] for p in self.params if p.startswith(stage)}
      for name in sorted(names, key=lambda n: int(n.removeprefix('block'))):
        stride = 2 if number > 0 and name == 'block1' else 1
        x = self.block(f'{stage}/{name}', x, stride, train)
    x = x.mean((2, 3))
    return x @ self.params['fc/kernel'] + self.params['fc/bias']

  def block(self, path, x, stride, train):
    bottleneck = f'{path}/conv3/kernel' in self.params
    if bottleneck:
      strides = (stride, 1, 1) if self.version == 'v1' else (1, stride, 1)
    else:
      strides = (stride, 1)
    y = x
    for i, s in enumerate(strides, 1):
      pad = self.params[f'{path}/conv{i}/kernel'].shape[0] // 2
      y = self.bn(
        f'{path}/bn{i}', self.conv(f'{path}/conv{i}', y, s, pad), train
      )
      if i < len(strides):
        y = F.relu(y)
    if self.shortcut is None:
      return F.relu(y)
    if f'{path}/shortcut_conv/kernel' in self.params:
      x = self.conv(f'{path}/shortcut_conv', x, stride, 0)
      x = self.bn(f'{path}/shortcut_bn', x, train)
    elif y.shape != x.shape:
      x = x[:, :, ::stride, ::stride]
      x = torch.cat([x, torch.zeros_like(y[:, x.shape[1] :])], 1)
    return F.relu(y + x)

  def conv(self, path, x, stride, pad):
    kernel = self.params[f'{path}/kernel'].permute(3, 2, 0, 1)
    return F.conv2d(x, kernel, stride=stride, padding=pad)

  def bn(self, path, x, train):
    return F.batch_norm(
      x,
      self.stats[f'{path}/mean'].clone(),
      self.stats[f'{path}/var'].clone(),
      self.params[f'{path}/scale'],
      self.params[f'{path}/bias'],
      training=train,
      eps=1e-5,
    )


def flatten(tree, prefix=''):
  for key, value in tree.items():
    if isinstance(value, dict):
      yield from flatten(value, f'{prefix}{key}/')
    else:
      yield f'{prefix}{key}', value
