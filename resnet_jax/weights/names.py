"""Our names of variables, and PyTorch's for the same numbers.

  params/conv1/kernel                         conv1.weight
  params/conv2_x/block1/bn2/scale             layer1.0.bn2.weight
  batch_stats/conv2_x/block1/bn2/var          layer1.0.bn2.running_var
  params/conv3_x/block1/shortcut_conv/kernel  layer2.0.downsample.0.weight
  params/fc/bias                              fc.bias

These are torchvision's and timm's names. The CIFAR nets' reimplementation says
`shortcut` for `downsample` and `linear` for `fc`.
"""

_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def torch_name(name: str, *, cifar: bool) -> str:
  """PyTorch's name for ours.

  Args:
    name: of a variable, with its collection: `params/conv1/kernel`.
    cifar: as in the CIFAR nets' reimplementation, and not as in torchvision.

  Raises:
    ValueError: `name` is no variable of `models.ResNet`.
  """
  shortcut, head = ('shortcut', 'linear') if cifar else ('downsample', 'fc')
  modules = {
    'shortcut_conv': f'{shortcut}.0',
    'shortcut_bn': f'{shortcut}.1',
    'fc': head,
  }
  try:
    _, *path, module, leaf = name.split('/')
    parts = [modules.get(module, module), _LEAVES[leaf]]
    if path:
      stage, block = path
      # conv2_x is the first stage, and PyTorch counts blocks from 0.
      layer = int(stage.removeprefix('conv').removesuffix('_x')) - 1
      index = int(block.removeprefix('block')) - 1
      parts = [f'layer{layer}', str(index), *parts]
  except (KeyError, ValueError) as e:
    raise ValueError(f'{name} is no variable of a ResNet') from e
  return '.'.join(parts)


def counter_name(name: str) -> str | None:
  """The counter that PyTorch keeps beside `name`, where that is a running mean.

  It says how many batches were seen. Files from before PyTorch 0.4.1 lack it,
  and nothing here depends on it.
  """
  module, _, leaf = name.rpartition('.')
  return f'{module}.num_batches_tracked' if leaf == 'running_mean' else None


def is_counter(name: str) -> bool:
  """Whether `name`, one of PyTorch's, is such a counter."""
  return name.endswith('.num_batches_tracked')
