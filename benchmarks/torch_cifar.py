"""The paper's CIFAR networks of 6n+2 layers (Sec. 4.2) in plain PyTorch.

  net = CifarNet(3)                    # ResNet-20, shortcut A
  net = CifarNet(3, shortcut=None)     # plain-20

Names of parameters are those that `resnet_jax.weights` exports, so that
`load_state_dict` takes our weights.
"""

import torch
from torch import nn
from torch.nn import functional as F


class ShortcutA(nn.Module):
  """The identity: every `stride`-th pixel, with channels of zeros around."""

  def __init__(self, inputs: int, outputs: int, stride: int) -> None:
    super().__init__()
    self.stride = stride
    self.before = (outputs - inputs) // 2
    self.after = outputs - inputs - self.before

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = x[:, :, :: self.stride, :: self.stride]
    return F.pad(x, (0, 0, 0, 0, self.before, self.after))


class Block(nn.Module):
  """Two convolutions of 3x3, and the shortcut around them if there is one."""

  def __init__(self, inputs: int, outputs: int, shortcut: str | None) -> None:
    super().__init__()
    stride = outputs // inputs
    self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(outputs)
    self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(outputs)
    self.residual = shortcut is not None
    self.shortcut: nn.Module = nn.Identity()
    if shortcut == 'A' and stride > 1:
      self.shortcut = ShortcutA(inputs, outputs, stride)
    elif shortcut == 'C' or (shortcut == 'B' and stride > 1):
      self.shortcut = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride, bias=False),
        nn.BatchNorm2d(outputs),
      )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    y = F.relu(self.bn1(self.conv1(x)), inplace=True)
    y = self.bn2(self.conv2(y))
    if self.residual:
      y = y + self.shortcut(x)
    return F.relu(y, inplace=True)


class CifarNet(nn.Module):
  """Three stages of n blocks with 16, 32 and 64 channels."""

  def __init__(
    self, n: int, *, shortcut: str | None = 'A', classes: int = 10
  ) -> None:
    super().__init__()
    self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(16)
    self.layer1 = _stage(16, 16, n, shortcut)
    self.layer2 = _stage(16, 32, n, shortcut)
    self.layer3 = _stage(32, 64, n, shortcut)
    self.linear = nn.Linear(64, classes)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(self.bn1(self.conv1(x)), inplace=True)
    x = self.layer3(self.layer2(self.layer1(x)))
    return self.linear(x.mean((2, 3)))


def _stage(
  inputs: int, outputs: int, n: int, shortcut: str | None
) -> nn.Sequential:
  first = Block(inputs, outputs, shortcut)
  rest = [Block(outputs, outputs, shortcut) for _ in range(n - 1)]
  return nn.Sequential(first, *rest)
