"""PyTorch's networks, whose weights are taken in; skips without PyTorch."""

import pytest

from benchmarks.torchvision_modules import import_torchvision
from resnet_jax import models, weights

torch = pytest.importorskip('torch')


def torchvision_net(name, **fields):
  """One of torchvision's networks in eval mode, with random weights."""
  try:
    torchvision = import_torchvision()
  except ImportError as e:
    pytest.skip(str(e))
  with torch.device('meta'):  # its own initialization takes a while
    net = getattr(torchvision.models, name)(weights=None, **fields)
  return randomize(net.to_empty(device='cpu'))


def randomize(net, seed=0):
  """Random weights at which every array matters, and no depth explodes."""
  generator = torch.Generator().manual_seed(seed)

  def uniform(x, low, high):
    x.copy_(torch.rand(x.shape, generator=generator) * (high - low) + low)

  with torch.no_grad():
    for name, x in net.state_dict().items():
      if x.ndim == 4:
        x.normal_(0, (2 / x[0].numel()) ** 0.5, generator=generator)
      elif x.ndim == 2:
        x.normal_(0, 0.1, generator=generator)
      elif name.endswith(('weight', 'running_var')):
        uniform(x, 0.8, 1.2)
      elif x.ndim == 1:
        uniform(x, -0.3, 0.3)
      else:
        x.zero_()
    for name, x in net.state_dict().items():
      if name.endswith(('bn3.weight', 'bn2.weight')):
        x.mul_(0.3)  # residuals add up
  return net.eval()


class CifarBlock(torch.nn.Module):
  """Two convolutions and shortcut 'B', or 'A' with zeros on both sides."""

  def __init__(self, before, channels, shortcut):
    super().__init__()
    nn, stride = torch.nn, channels // before
    self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(channels)
    self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(channels)
    self.stride, self.margin = stride, (channels - before) // 2
    self.shortcut = self.zeros_on_both_sides
    if shortcut == 'B' and stride > 1:
      self.shortcut = nn.Sequential(
        nn.Conv2d(before, channels, 1, stride, bias=False),
        nn.BatchNorm2d(channels),
      )

  def zeros_on_both_sides(self, x):
    x = x[:, :, :: self.stride, :: self.stride]
    sides = (0, 0, 0, 0, self.margin, self.margin)
    return torch.nn.functional.pad(x, sides)

  def forward(self, x):
    y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
    return (y + self.shortcut(x)).relu()


class CifarNet(torch.nn.Module):
  """A CIFAR net of 6n+2 layers with the reimplementation's names."""

  def __init__(self, n, shortcut='A', num_classes=10):
    super().__init__()
    self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    self.bn1 = torch.nn.BatchNorm2d(16)
    before = 16
    for i, filters in enumerate((16, 32, 64), 1):
      inputs = [before] + [filters] * (n - 1)
      stage = [CifarBlock(b, filters, shortcut) for b in inputs]
      setattr(self, f'layer{i}', torch.nn.Sequential(*stage))
      before = filters
    self.linear = torch.nn.Linear(64, num_classes)

  def forward(self, x):
    x = self.bn1(self.conv1(x)).relu()
    x = self.layer3(self.layer2(self.layer1(x)))
    return self.linear(x.mean((2, 3)))


def arrays_of(net):
  """The state dict of a network as NumPy arrays."""
  return {name: x.numpy().copy() for name, x in net.state_dict().items()}


def build(arrays, **fields):
  """The network that `arrays` belong to, and its variables."""
  found = weights.detect(arrays)
  overrides = found.overrides | fields
  model = models.create(
    found.network, num_classes=found.num_classes, **overrides
  )
  return model, weights.to_variables(arrays, model)
