"""PyTorch's side of each measurement: the same network, batch and update.

Networks of ImageNet are torchvision's, changed where the paper's differ (its
shortcut A, its stride in the first convolution of a bottleneck); those of CIFAR
are in torch_cifar.py. They run in channels-last layout, eager or compiled by
`torch.compile`, in autocast where the precision is bfloat16.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import memory
from benchmarks.cases import Case, config_of
from benchmarks.rounds import Unavailable, Work, nothing
from benchmarks.torch_cifar import CifarNet, ShortcutA
from benchmarks.torchvision_modules import import_torchvision
from resnet_jax.config.plan import create_model
from resnet_jax.models.resnet import ResNet

_CLASSES = {True: 10, False: 1000}


def training(case: Case) -> tuple[Work, dict[str, Any]]:
  """Training steps on a batch in memory."""
  step = _training_step(case)
  first = _timed(step)
  _timed(step)

  def work(repeats: int) -> tuple[float, None]:
    for _ in range(repeats):
      step()
    _wait()
    return repeats * case.batch, None

  return work, {'first_step': first, 'threads': torch.get_num_threads()}


def evaluation(case: Case) -> tuple[Work, dict[str, Any]]:
  """Predictions of a batch in memory."""
  net = network(case).eval()
  forward = torch.compile(net) if case.compiled else net
  images, _ = _batch(case)

  @torch.inference_mode()
  def predict() -> None:
    with _precision(case):
      forward(images).argmax(1).cpu()

  first = _timed(predict)
  _timed(predict)

  def work(repeats: int) -> tuple[float, None]:
    for _ in range(repeats):
      predict()
    return repeats * case.batch, None

  return work, {'first_step': first}


def peak_memory(case: Case) -> tuple[Work, dict[str, Any]]:
  """The peak memory of training steps beyond libraries and data, in bytes."""
  gpu = torch.cuda.is_available()
  images = _batch(case)  # as much as the step makes for itself
  before = torch.cuda.memory_allocated() if gpu else memory.process('VmRSS')
  del images
  step = _training_step(case)
  _timed(step)
  if gpu:
    torch.cuda.reset_peak_memory_stats()
  else:
    memory.reset_peak()
  _timed(step)
  _timed(step)
  peak = torch.cuda.max_memory_allocated() if gpu else memory.process('VmHWM')
  return nothing, {'peak': peak - before}


def about(_: None) -> tuple[Work, dict[str, Any]]:
  """Versions, and the device."""
  gpu = torch.cuda.is_available()
  return nothing, {
    'torch': torch.__version__,
    'threads': torch.get_num_threads(),
    'device': torch.cuda.get_device_name() if gpu else 'cpu',
  }


def network(case: Case) -> torch.nn.Module:
  """The peer of the network of `case`, on the device.

  Raises:
    Unavailable: PyTorch has none, or torchvision is not installed.
  """
  config = config_of(case)
  cifar = config.model.name.startswith('cifar_')
  ours = create_model(config, num_classes=_CLASSES[cifar])
  if not isinstance(ours, ResNet) or not (cifar or ours.shortcut):
    raise Unavailable(f'PyTorch has no peer of {case.network}')
  if cifar:
    net: torch.nn.Module = CifarNet(ours.stage_sizes[0], shortcut=ours.shortcut)
  else:
    net = _torchvision_resnet(ours)
  return net.to(_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]


def _torchvision_resnet(ours: ResNet) -> torch.nn.Module:
  models = import_torchvision().models
  blocks = models.resnet
  block = blocks.Bottleneck if ours.bottleneck else blocks.BasicBlock
  net = blocks.ResNet(block, list(ours.stage_sizes))
  for stage in (net.layer2, net.layer3, net.layer4):
    first = stage[0]
    if ours.bottleneck and ours.version == 'v1':
      first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)
    if ours.shortcut == 'A':
      inputs, outputs = first.conv1.in_channels, first.conv2.out_channels
      first.downsample = ShortcutA(inputs, outputs, 2)
  if ours.shortcut not in (None, 'A', 'B'):
    raise Unavailable(f'torchvision has no shortcut {ours.shortcut}')
  return net


def _training_step(case: Case) -> Callable[[], None]:
  net = network(case).train()
  forward = torch.compile(net) if case.compiled else net
  recipe = config_of(case)
  optimizer = torch.optim.SGD(
    net.parameters(),
    recipe.schedule.learning_rate,
    momentum=recipe.optimizer.momentum,
    weight_decay=recipe.optimizer.weight_decay,
  )
  images, labels = _batch(case)

  def step() -> None:
    optimizer.zero_grad(set_to_none=True)
    with _precision(case):
      loss = torch.nn.functional.cross_entropy(forward(images), labels)
    loss.backward()
    optimizer.step()

  return step


def _batch(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
  cifar = config_of(case).model.name.startswith('cifar_')
  side = 32 if cifar else 224
  images = torch.randn(case.batch, 3, side, side, device=_device())
  labels = torch.arange(case.batch, device=_device()) % _CLASSES[cifar]
  return images.contiguous(memory_format=torch.channels_last), labels


def _precision(case: Case) -> contextlib.AbstractContextManager[Any]:
  rounded = case.precision == 'tensorfloat32'
  torch.backends.cudnn.allow_tf32 = rounded
  torch.backends.cuda.matmul.allow_tf32 = rounded
  if case.precision != 'bfloat16':
    return contextlib.nullcontext()
  return torch.autocast(_device(), dtype=torch.bfloat16)


def _device() -> str:
  torch.backends.cudnn.benchmark = True
  return 'cuda' if torch.cuda.is_available() else 'cpu'


def _wait() -> None:
  if torch.cuda.is_available():
    torch.cuda.synchronize()


def _timed(work: Callable[[], None]) -> float:
  start = time.perf_counter()
  work()
  _wait()
  return time.perf_counter() - start
