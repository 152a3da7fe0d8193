"""Weights to variables and back, and what they compute, against PyTorch."""

import operator
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models, weights
from resnet_jax.errors import UserError
from resnet_jax.runs.leaves import flatten
from resnet_jax.weights import channels, names
from tests.weights.reference import (
  CifarNet,
  arrays_of,
  build,
  randomize,
  torch,
  torchvision_net,
)

pytestmark = pytest.mark.usefixtures('quick_compilation')


DATA = os.environ.get('RESNET_JAX_TEST_DATA')


REAL = sorted(pathlib.Path(DATA, 'weights').glob('*.th')) if DATA else []


def images_of(shape):
  return np.random.default_rng(1).normal(size=shape)


def relative_error(actual, desired):
  actual, desired = np.asarray(actual), np.asarray(desired)
  assert actual.dtype == desired.dtype
  assert actual.shape == desired.shape
  largest = np.abs(desired).max()
  assert 0 < largest < 1e6
  return np.abs(actual - desired).max() / largest


def assert_same_logits(net, shape):
  """Our logits are those of `net`, relative to the largest one."""
  model, variables = build(arrays_of(net))
  for precision, limit in (('float32', 1e-4), ('float64', 1e-9)):
    images = images_of(shape).astype(precision)
    with jax.enable_x64(precision == 'float64'):
      cast = jax.tree.map(operator.methodcaller('astype', precision), variables)
      apply = jax.jit(model.clone(dtype=jnp.dtype(precision)).apply)
      ours = apply(cast, images)
    with torch.no_grad():
      x = torch.tensor(images).permute(0, 3, 1, 2)
      theirs = net.to(x.dtype)(x)
    error = relative_error(ours, theirs.numpy())
    print(f'{precision}: {error:.1e}')
    assert error < limit


slow, long = pytest.mark.slow, pytest.mark.long


@pytest.mark.parametrize(
  ('name', 'shape'),
  [
    pytest.param('resnet18', (2, 65, 97, 3), marks=slow),
    pytest.param('resnet34', (1, 65, 97, 3), marks=slow),
    ('resnet50', (1, 65, 97, 3)),
    pytest.param('resnet101', (2, 65, 97, 3), marks=long),
    pytest.param('resnet152', (1, 97, 64, 3), marks=long),
    pytest.param('resnet18', (1, 224, 224, 3), marks=slow),
    pytest.param('resnet50', (1, 224, 224, 3), marks=long),
  ],
)
def test_logits_are_torchvisions(name, shape):
  assert_same_logits(torchvision_net(name), shape)


@pytest.mark.parametrize('shortcut', ['A', 'B'])
def test_logits_are_the_cifar_reimplementations(shortcut):
  assert_same_logits(randomize(CifarNet(2, shortcut)), (2, 13, 18, 3))


@pytest.mark.parametrize(
  'name', ['resnet18', pytest.param('resnet50', marks=slow)]
)
def test_gradients_are_torchvisions(name):
  net = torchvision_net(name, num_classes=10)
  arrays = arrays_of(net)
  images = images_of((1, 33, 41, 3))
  net = net.double()
  net(torch.tensor(images).permute(0, 3, 1, 2)).square().sum().backward()
  theirs = {name: p.grad.numpy() for name, p in net.named_parameters()}
  with jax.enable_x64(True):
    model, variables = build(arrays, dtype=jnp.float64)
    variables = jax.tree.map(lambda x: x.astype(np.float64), variables)

    @jax.jit
    @jax.grad
    def gradients(params):
      logits = model.apply(variables | {'params': params}, images)
      return jnp.square(logits).sum()

    tree = gradients(variables['params'])
  worst = 0
  for name, ours in flatten({'params': tree}).items():
    desired = theirs.pop(names.torch_name(name, cifar=False))
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[ours.ndim]
    worst = max(worst, relative_error(ours, desired.transpose(axes)))
  assert not theirs
  print(f'{worst:.1e}')
  assert worst < 1e-9


def test_order_of_channels_by_hand():
  # 4, 8, 16 channels: old ones at 2 ... 5 of 8, then those at 4 ... 11 of 16.
  orders = channels.stream_orders((4, 8, 16))
  assert [order.tolist() for order in orders] == [
    [0, 1, 2, 3],
    [2, 3, 4, 5, 0, 1, 6, 7],
    [6, 7, 8, 9, 4, 5, 10, 11, 0, 1, 2, 3, 12, 13, 14, 15],
  ]


def assert_round_trip(arrays):
  model, variables = build(arrays)
  exported = weights.from_variables(variables, model)
  counters = {name for name in exported if names.is_counter(name)}
  assert exported.keys() - arrays.keys() <= counters
  assert arrays.keys() <= exported.keys()
  for name, x in arrays.items():
    assert exported[name].dtype == x.dtype
    np.testing.assert_array_equal(exported[name], x, name)
  assert all(exported[name].shape == () for name in counters)
  return exported


@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_out_is_what_came_in(name):
  net = torchvision_net(name, num_classes=7)
  exported = assert_round_trip(arrays_of(net))
  net.load_state_dict({k: torch.tensor(x) for k, x in exported.items()})


@pytest.mark.parametrize('shortcut', ['A', 'B'])
def test_out_is_what_came_in_for_cifar(shortcut):
  net = randomize(CifarNet(2, shortcut))
  exported = assert_round_trip(arrays_of(net))
  net.load_state_dict({k: torch.tensor(x) for k, x in exported.items()})


@pytest.mark.skipif(not REAL, reason='RESNET_JAX_TEST_DATA has no weights')
@pytest.mark.parametrize('path', REAL, ids=lambda path: path.name)
def test_real_files(path):
  arrays = weights.read(path)
  found = weights.detect(arrays)
  depth = path.name.removeprefix('resnet').split('-')[0]
  assert found.network == f'cifar_resnet{depth}'
  assert found.num_classes == 10
  assert found.overrides == {'shortcut': 'A'}
  assert_round_trip(arrays)
  net = CifarNet((int(depth) - 2) // 6)
  net.load_state_dict(
    {name: torch.tensor(x) for name, x in arrays.items()}, strict=False
  )
  assert_same_logits(net.eval(), (2, 32, 32, 3))


def test_differences_are_a_readable_list(cifar_arrays):
  arrays = dict(cifar_arrays)
  model, _ = build(arrays)
  del arrays['layer1.0.conv1.weight']
  arrays['foo.bar'] = np.zeros(3, np.float32)
  arrays['linear.weight'] = np.zeros((10, 32), np.float32)
  arrays['bn1.bias'] = np.zeros(16, np.int8)
  with pytest.raises(UserError) as info:
    weights.to_variables(arrays, model)
  assert str(info.value).splitlines() == [
    'the weights are not those of this network:',
    '- layer1.0.conv1.weight  missing',
    '+ foo.bar  unknown',
    '~ linear.weight  [10, 32] and not [10, 64]',
    '~ bn1.bias  int8 and not a float',
  ]


def test_numbers_that_are_not_finite_are_refused(cifar_arrays):
  model, _ = build(cifar_arrays)
  arrays = cifar_arrays | {'bn1.bias': np.full(16, np.nan)}
  arrays['bn1.weight'] = np.array([1e300] + [0.0] * 15)
  with pytest.raises(UserError) as info:
    weights.to_variables(arrays, model)
  assert '~ bn1.bias  16 of 16 numbers are not finite' in str(info.value)
  assert '~ bn1.weight  1 of 16 numbers' in str(info.value)


def test_a_network_of_grey_images_is_not_exported():
  model = models.create('cifar_resnet8')
  images = jax.ShapeDtypeStruct((1, 8, 8, 1), jnp.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  variables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  with pytest.raises(UserError, match='images of 1 channels'):
    weights.from_variables(variables, model)


def test_variables_of_another_network_are_refused(cifar_arrays):
  _, variables = build(cifar_arrays)
  deeper = models.create('cifar_resnet14')
  with pytest.raises(UserError, match=r'conv2_x/block2/bn1/mean  missing'):
    weights.from_variables(variables, deeper)
  for name in ('cifar_plain8', 'resnet18'):
    with pytest.raises(UserError, match='PyTorch'):
      weights.from_variables(variables, models.create(name))
