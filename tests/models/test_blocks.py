"""Blocks and whole nets in float64 against NumPy and PyTorch references.

Both references are written from the paper and read the variables by name.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models

pytestmark = pytest.mark.usefixtures('quick_compilation')

EPSILON = 1e-5
# In float64 the two sides differ by summation order alone, some 1e-13.
TOLERANCE = 1e-9
GROUP = 2
# Height even, width odd: both kinds of grid in one image.
IMAGES = (4, 6, 7)

# Blocks, and their input channels.
BLOCKS = {
  'basic': (functools.partial(models.BasicBlock, 8, 1), 8),
  'basic, halving': (functools.partial(models.BasicBlock, 8, 2), 4),
  'bottleneck': (functools.partial(models.BottleneckBlock, 4, 1), 16),
  # conv2_x/block1: more channels at the same resolution.
  'bottleneck, growing': (functools.partial(models.BottleneckBlock, 4, 1), 8),
  'bottleneck v1, halving': (
    functools.partial(models.BottleneckBlock, 4, 2, version='v1'),
    8,
  ),
  'bottleneck v1.5, halving': (
    functools.partial(models.BottleneckBlock, 4, 2, version='v1.5'),
    8,
  ),
}
every_block = pytest.mark.parametrize('name', BLOCKS)
every_shortcut = pytest.mark.parametrize('shortcut', ['A', 'B', 'C', None])


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


@pytest.fixture
def twin():
  return Twin(pytest.importorskip('torch'))


def assert_close(actual, desired):
  """Checks equality to TOLERANCE of the largest number."""
  actual, desired = np.asarray(actual), np.asarray(desired)
  assert actual.dtype == desired.dtype == np.float64
  margin = TOLERANCE * np.abs(desired).max()
  np.testing.assert_allclose(actual, desired, rtol=0, atol=margin)


def assert_trees_close(actual, desired):
  assert jax.tree.structure(actual) == jax.tree.structure(desired)
  jax.tree.map(assert_close, actual, desired)


def random_variables(module, *inputs):
  """Random variables of a scale at which each of them matters."""
  rng = np.random.default_rng(1)

  def draw(path, leaf):
    if path[-1].key in ('scale', 'var'):
      return rng.uniform(0.5, 1.5, leaf.shape)
    if path[-1].key == 'kernel':
      fan_in = np.prod(leaf.shape[:-1])
      return rng.normal(0, np.sqrt(2 / fan_in), leaf.shape)
    return rng.normal(0, 0.3, leaf.shape)

  init = functools.partial(module.init, jax.random.key(0))
  shapes = jax.eval_shape(lambda: init(*inputs))
  return jax.tree.map_with_path(draw, shapes)


def make_block(name, shortcut):
  """The block, an input, its variables."""
  make, channels = BLOCKS[name]
  norm = functools.partial(
    models.GroupedBatchNorm, group_size=GROUP, dtype=jnp.float64
  )
  block = make(shortcut=shortcut, norm=norm, dtype=jnp.float64)
  x = np.random.default_rng(0).normal(size=(*IMAGES, channels))
  return block, x, random_variables(block, x, False)


def numpy_conv(x, kernel, stride):
  size = kernel.shape[0]
  pad = size // 2
  x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  rows, columns = ((n - size) // stride + 1 for n in x.shape[1:3])
  y = np.empty((len(x), rows, columns, kernel.shape[-1]))
  for i in range(rows):
    for j in range(columns):
      top, left = i * stride, j * stride
      window = x[:, top : top + size, left : left + size]
      y[:, i, j] = np.tensordot(window, kernel, 3)
  return y


def numpy_norm(x, params, stats, train):
  def normalize(x, mean, var):
    x = (x - mean) / np.sqrt(var + EPSILON)
    return x * params['scale'] + params['bias']

  if not train:
    return normalize(x, stats['mean'], stats['var'])
  groups = [x[i : i + GROUP] for i in range(0, len(x), GROUP)]
  axes = (0, 1, 2)
  return np.concatenate(
    [normalize(group, group.mean(axes), group.var(axes)) for group in groups]
  )


def numpy_block(block, x, variables, train):
  params, stats = variables['params'], variables['batch_stats']

  def layer(x, conv, bn, stride):
    y = numpy_conv(x, params[conv]['kernel'], stride)
    return numpy_norm(y, params[bn], stats[bn], train)

  if isinstance(block, models.BasicBlock):
    y = np.maximum(layer(x, 'conv1', 'bn1', block.stride), 0)
    y = layer(y, 'conv2', 'bn2', 1)
  else:
    of_1x1 = block.stride if block.version == 'v1' else 1
    y = np.maximum(layer(x, 'conv1', 'bn1', of_1x1), 0)
    y = np.maximum(layer(y, 'conv2', 'bn2', block.stride // of_1x1), 0)
    y = layer(y, 'conv3', 'bn3', 1)
  if block.shortcut is None:
    return np.maximum(y, 0)
  if x.shape == y.shape and block.shortcut in 'AB':
    return np.maximum(y + x, 0)
  if block.shortcut == 'A':
    y[..., : x.shape[-1]] += x[:, :: block.stride, :: block.stride]
    return np.maximum(y, 0)
  y += layer(x, 'shortcut_conv', 'shortcut_bn', block.stride)
  return np.maximum(y, 0)


class Twin:
  """The networks on torch.nn.functional, with the Flax tree of variables."""

  def __init__(self, torch):
    self.torch, self.ops = torch, torch.nn.functional

  def variables(self, variables):
    """Tensors for arrays; gradients collect on the parameters."""
    tensors = jax.tree.map(self.torch.tensor, variables)
    jax.tree.map(lambda p: p.requires_grad_(), tensors['params'])
    return tensors['params'], tensors['batch_stats']

  def input(self, x):
    return self.torch.tensor(x).requires_grad_()

  def net(self, images, params, stats, *, train, **fields):
    """Logits; `stats` are updated where `train`, as torch does."""
    imagenet = params['conv1']['kernel'].shape[0] == 7
    x = self._layer(
      images.movedim(-1, 1),
      (params['conv1'], params['bn1']),
      stats['bn1'],
      2 if imagenet else 1,
      train,
    ).relu()
    if imagenet:
      x = self.ops.max_pool2d(x, 3, 2, ceil_mode=True)
    for stage in sorted(name for name in params if name.endswith('_x')):
      for i in range(1, 1 + len(params[stage])):
        block = f'block{i}'
        stride = 2 if i == 1 and stage != 'conv2_x' else 1
        x = self.block(
          x,
          params[stage][block],
          stats[stage][block],
          stride,
          train=train,
          **fields,
        )
    return x.mean((2, 3)) @ params['fc']['kernel'] + params['fc']['bias']

  def block(self, x, params, stats, stride, *, shortcut, train, version='v1'):
    # The names tell the kind of a block, and whether it projects.
    depth = sum(name.startswith('conv') for name in params)
    strided = 2 if depth == 3 and version == 'v1.5' else 1
    y = x
    for i in range(1, 1 + depth):
      y = self._layer(
        y if i == 1 else y.relu(),
        (params[f'conv{i}'], params[f'bn{i}']),
        stats[f'bn{i}'],
        stride if i == strided else 1,
        train,
      )
    if 'shortcut_conv' in params:
      modules = params['shortcut_conv'], params['shortcut_bn']
      y = y + self._layer(x, modules, stats['shortcut_bn'], stride, train)
    elif shortcut is not None:
      x = x[:, :, ::stride, ::stride]
      zeros = y.shape[1] - x.shape[1]
      y = y + self.ops.pad(x, (0, 0, 0, 0, 0, zeros))
    return y.relu()

  def _layer(self, x, modules, stats, stride, train):
    conv, bn = modules
    kernel = conv['kernel'].permute(3, 2, 0, 1)
    pad = kernel.shape[-1] // 2
    y = self.ops.conv2d(x, kernel, stride=stride, padding=pad)
    normalize = functools.partial(
      self.ops.batch_norm, weight=bn['scale'], bias=bn['bias'], eps=EPSILON
    )
    if not train:
      return normalize(y, stats['mean'], stats['var'])
    groups = y.split(GROUP)
    axes = (0, 2, 3)
    for name, values in (
      ('mean', [group.mean(axes) for group in groups]),
      ('var', [group.var(axes, correction=0) for group in groups]),
    ):
      average = self.torch.stack(values).mean(0).detach()
      stats[name] = 0.9 * stats[name] + 0.1 * average
    return self.torch.cat(
      [normalize(group, None, None, training=True) for group in groups]
    )


def as_numpy(tensors):
  return jax.tree.map(lambda t: t.detach().numpy(), tensors)


def gradients(tensors):
  return jax.tree.map(lambda t: t.grad.numpy(), tensors)


@pytest.mark.parametrize('train', [False, True], ids=['eval', 'train'])
@every_shortcut
@every_block
def test_block_output_equals_numpys(name, shortcut, train):
  block, x, variables = make_block(name, shortcut)
  apply = jax.jit(block.apply, static_argnames=('train', 'mutable'))
  y, _ = apply(variables, x, train=train, mutable=('batch_stats',))
  assert_close(y, numpy_block(block, x, variables, train))


# A stride-1 block's gradients are in resnet20's, below.
@every_shortcut
@pytest.mark.parametrize('name', [name for name in BLOCKS if 'halving' in name])
def test_block_gradients_equal_torchs(twin, name, shortcut):
  block, x, variables = make_block(name, shortcut)

  @jax.jit
  def backward(params, x, cotangent):
    def loss(params, x):
      bound = {**variables, 'params': params}
      y, _ = block.apply(bound, x, True, mutable=['batch_stats'])
      return (y * cotangent).sum()

    return jax.grad(loss, (0, 1))(params, x)

  params, stats = twin.variables(variables)
  x_there = twin.input(x)
  y = twin.block(
    x_there.movedim(-1, 1),
    params,
    stats,
    block.stride,
    shortcut=shortcut,
    train=True,
    version=getattr(block, 'version', 'v1'),
  ).movedim(1, -1)
  cotangent = np.random.default_rng(2).normal(size=y.shape)
  (y * twin.torch.tensor(cotangent)).sum().backward()

  ours = backward(variables['params'], x, cotangent)
  assert_trees_close(ours, (gradients(params), x_there.grad.numpy()))


def test_resnet20_train_step_equals_torchs(twin):
  model = models.create(
    'cifar_resnet20', dtype=jnp.float64, bn_group_size=GROUP
  )
  rng = np.random.default_rng(0)
  images = rng.normal(size=(2 * GROUP, 13, 16, 3))
  cotangent = rng.normal(size=(2 * GROUP, 10))
  variables = random_variables(model, images)

  @jax.jit
  def step(params):
    def loss(params):
      bound = {**variables, 'params': params}
      logits, updates = model.apply(
        bound, images, train=True, mutable=['batch_stats']
      )
      return (logits * cotangent).sum(), (logits, updates['batch_stats'])

    return jax.grad(loss, has_aux=True)(params)

  params, stats = twin.variables(variables)
  logits = twin.net(twin.input(images), params, stats, train=True, shortcut='A')
  (logits * twin.torch.tensor(cotangent)).sum().backward()

  ours, (our_logits, our_stats) = step(variables['params'])
  assert_close(our_logits, as_numpy(logits))
  assert_trees_close(our_stats, as_numpy(stats))
  assert_trees_close(ours, gradients(params))


@pytest.mark.parametrize(
  'size',
  [pytest.param((64, 64), marks=pytest.mark.slow), (65, 71)],
  ids=lambda size: f'{size[0]}x{size[1]}',
)
@pytest.mark.parametrize(
  'name, version',
  [('resnet18', 'v1'), ('resnet50', 'v1'), ('resnet50', 'v1.5')],
)
def test_imagenet_logits_equal_torchs(twin, name, version, size):
  overrides = {'version': version} if name == 'resnet50' else {}
  model = models.create(name, dtype=jnp.float64, num_classes=10, **overrides)
  # An eighth of the width is enough to test the layers and their strides.
  model = model.clone(filters=(8, 16, 32, 64))
  images = np.random.default_rng(0).normal(size=(2, *size, 3))
  variables = random_variables(model, images)
  with twin.torch.no_grad():
    logits = twin.net(
      twin.input(images),
      *twin.variables(variables),
      train=False,
      shortcut=model.shortcut,
      version=version,
    )
  ours = jax.jit(model.apply)(variables, images)
  assert_close(ours, as_numpy(logits))
