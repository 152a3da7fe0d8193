"""The baselines against PyTorch, and on padded images against themselves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models
from resnet_jax.models.dense import dense_logits
from tests.models.published import abstract, drawn

pytestmark = [pytest.mark.long, pytest.mark.usefixtures('quick_compilation')]


@pytest.mark.parametrize('name', ['vgg16', 'vgg19'])
def test_vgg_is_torchvisions(name):
  from tests.weights.reference import torch, torchvision_net

  net = torchvision_net(name)
  model, variables, _ = abstract(name)
  kernels = [x.detach().numpy() for x in net.parameters()]
  layers = [
    *(
      f'conv{s}_{i}'
      for s, n in enumerate(model.stage_sizes, 1)
      for i in range(1, n + 1)
    ),
    'fc6',
    'fc7',
    'fc',
  ]
  params = {}
  for layer, kernel, bias in zip(
    layers, kernels[::2], kernels[1::2], strict=True
  ):
    if layer == 'fc6':  # PyTorch's maps have their channels first
      kernel = kernel.reshape(-1, 512, 7, 7).transpose(0, 2, 3, 1)
      kernel = kernel.reshape(len(kernel), -1)
    axes = (2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)
    params[layer] = {'kernel': kernel.transpose(axes), 'bias': bias}
  assert jax.tree.map(np.shape, params) == jax.tree.map(
    lambda x: x.shape, variables['params']
  )
  images = np.random.default_rng(0).normal(size=(1, 224, 224, 3))
  images = images.astype(np.float32)
  with torch.no_grad():
    expected = net(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
  logits = jax.jit(model.apply)({'params': params}, images)
  np.testing.assert_allclose(
    logits, expected, atol=1e-4 * np.abs(expected).max()
  )


@pytest.mark.parametrize(
  ('name', 'size'), [('alexnet', 227), ('alexnet', 224), ('googlenet', 224)]
)
def test_alexnet_and_googlenet_are_those_of_torchs_operators(name, size):
  torch = pytest.importorskip('torch')
  call = torch.nn.functional
  model = models.create(name, num_classes=10)
  variables = drawn(model, size, np.float32)
  rng = np.random.default_rng(1)
  images = rng.normal(0, 50, (2, size, size, 3)).astype(np.float32)

  def weights(path):
    node = functools.reduce(
      lambda tree, key: tree[key], path.split('/'), variables['params']
    )
    kernel, bias = node['kernel'], node['bias']
    axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
    return torch.tensor(kernel.transpose(axes).copy()), torch.tensor(bias)

  def conv(x, path, **fields):
    return call.relu(call.conv2d(x, *weights(path), **fields))

  def pool(x):
    return call.max_pool2d(x, 3, 2, ceil_mode=True)

  def lrn(x, k):  # PyTorch's alpha is of the mean
    alpha = 5e-4 if k == 2 else 1e-4
    return call.local_response_norm(x, 5, alpha, 0.75, k)

  def alexnet(x):
    if size == 224:
      x = call.pad(x, (1, 2, 1, 2))
    x = pool(lrn(conv(x, 'conv1', stride=4), 2.0))
    x = pool(lrn(conv(x, 'conv2', padding=2, groups=2), 2.0))
    x = conv(x, 'conv3', padding=1)
    x = conv(x, 'conv4', padding=1, groups=2)
    x = pool(conv(x, 'conv5', padding=1, groups=2))
    x = x.permute(0, 2, 3, 1).flatten(1)
    for path in ('fc6', 'fc7'):
      x = call.relu(call.linear(x, *weights(path)))
    return call.linear(x, *weights('fc'))

  def inception(x, path):
    three = conv(x, f'{path}/conv3_reduce')
    five = conv(x, f'{path}/conv5_reduce')
    pooled = call.max_pool2d(x, 3, 1, 1)
    branches = [
      conv(x, f'{path}/conv1'),
      conv(three, f'{path}/conv3', padding=1),
      conv(five, f'{path}/conv5', padding=2),
      conv(pooled, f'{path}/pool_conv'),
    ]
    return torch.cat(branches, 1)

  def googlenet(x):
    x = lrn(pool(conv(x, 'conv1', stride=2, padding=3)), 1.0)
    x = conv(conv(x, 'conv2_reduce'), 'conv2', padding=1)
    x = pool(lrn(x, 1.0))
    for stage in ('3a', '3b', '', '4a', '4b', '4c', '4d', '4e', '', '5a', '5b'):
      x = inception(x, f'inception{stage}') if stage else pool(x)
    return call.linear(x.mean((2, 3)), *weights('fc'))

  with torch.no_grad():
    reference = {'alexnet': alexnet, 'googlenet': googlenet}[name]
    expected = reference(torch.tensor(images.transpose(0, 3, 1, 2).copy()))
  logits = jax.jit(model.apply)(variables, images)
  expected = expected.numpy()
  np.testing.assert_allclose(
    logits, expected, atol=1e-4 * np.abs(expected).max()
  )


def test_padded_images_score_in_googlenet_as_each_alone():
  sizes = np.array([[65, 65], [97, 130], [66, 99], [131, 65]])
  with jax.enable_x64(True):
    model = models.create('googlenet', num_classes=5, dtype=jnp.float64)
    variables = drawn(model, 65)
    rng = np.random.default_rng(1)
    padded = rng.normal(5, 1, (len(sizes), *sizes.max(0), 3))
    run = jax.jit(
      lambda x, sizes: dense_logits(model, variables, x, sizes, crop=65)
    )
    logits, inside = run(padded, sizes)
    for i, (height, width) in enumerate(sizes):
      alone = padded[i : i + 1, :height, :width]
      expected, whole = run(alone, sizes[i : i + 1])
      rows, columns = expected.shape[1:3]
      assert whole.all()
      np.testing.assert_allclose(
        logits[i, :rows, :columns], expected[0], rtol=1e-9, atol=1e-9
      )
      assert inside[i].sum() == rows * columns
    crop = padded[:1, :65, :65]
    at_crop, _ = run(crop, sizes[:1])
    np.testing.assert_allclose(
      at_crop[:, 0, 0], model.apply(variables, crop), rtol=1e-9
    )
