"""The networks that the paper compares itself with, against their papers."""

import ast
import functools
import re
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from configs import common
from resnet_jax import models, optim, schedules
from resnet_jax.config import checks
from resnet_jax.config.file import load_config
from resnet_jax.config.plan import create_model, make_plan
from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.models.baseline_layers import LocalResponseNorm
from resnet_jax.models.dense import dense_logits
from resnet_jax.models.googlenet import AuxiliaryHead
from resnet_jax.placement import AXIS, replicate, shard
from resnet_jax.runs import checkpoint, finetune
from resnet_jax.state import TrainMetrics, create_state
from resnet_jax.step import _dropout_keys, make_train_step
from tests import command
from tests.data.streamed.pictures import write_folder

pytestmark = pytest.mark.usefixtures('quick_compilation')

# Of each layer with weights: window, channels that it reads and writes, and the
# side of its maps. A fully-connected layer is a window over all of its input.
ALEXNET = [
  (11, 3, 96, 55),
  (5, 48, 256, 27),
  (3, 256, 384, 13),
  (3, 192, 384, 13),
  (3, 192, 256, 13),
  (6, 256, 4096, 1),
  (1, 4096, 4096, 1),
  (1, 4096, 1000, 1),
]
VGG16 = [
  (3, 3, 64, 224),
  (3, 64, 64, 224),
  (3, 64, 128, 112),
  (3, 128, 128, 112),
  (3, 128, 256, 56),
  (3, 256, 256, 56),
  (3, 256, 256, 56),
  (3, 256, 512, 28),
  (3, 512, 512, 28),
  (3, 512, 512, 28),
  *[(3, 512, 512, 14)] * 3,
  (7, 512, 4096, 1),
  (1, 4096, 4096, 1),
  (1, 4096, 1000, 1),
]
VGG19 = [*VGG16, (3, 256, 256, 56), (3, 512, 512, 28), (3, 512, 512, 14)]
# Side, channels read, and the filters of Szegedy et al.'s Table 1.
INCEPTIONS = [
  (28, 192, 64, 96, 128, 16, 32, 32),
  (28, 256, 128, 128, 192, 32, 96, 64),
  (14, 480, 192, 96, 208, 16, 48, 64),
  (14, 512, 160, 112, 224, 24, 64, 64),
  (14, 512, 128, 128, 256, 24, 64, 64),
  (14, 512, 112, 144, 288, 32, 64, 64),
  (14, 528, 256, 160, 320, 32, 128, 128),
  (7, 832, 256, 160, 320, 32, 128, 128),
  (7, 832, 384, 192, 384, 48, 128, 128),
]
GOOGLENET = [
  (7, 3, 64, 112),
  (1, 64, 64, 56),
  (3, 64, 192, 56),
  *(
    layer
    for side, x, one, three_r, three, five_r, five, pool in INCEPTIONS
    for layer in (
      (1, x, one, side),
      (1, x, three_r, side),
      (3, three_r, three, side),
      (1, x, five_r, side),
      (5, five_r, five, side),
      (1, x, pool, side),
    )
  ),
  (1, 1024, 1000, 1),
]
HEADS = [
  layer
  for x in (512, 528)
  for layer in ((1, x, 128, 4), (4, 128, 1024, 1), (1, 1024, 1000, 1))
]
PUBLISHED = {
  'alexnet': (ALEXNET, []),
  'vgg16': (VGG16, []),
  'vgg19': (VGG19, []),
  'googlenet': (GOOGLENET, HEADS),
}


def params_of(layers):
  return sum((window**2 * x + 1) * y for window, x, y, _ in layers)


def macs_of(layers):
  return sum((window * side) ** 2 * x * y for window, x, y, side in layers)


@functools.cache
def abstract(name, size=224, **overrides):
  model = models.create(name, **overrides)
  images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
  return model, jax.eval_shape(model.init, jax.random.key(0), images), images


def leaves(tree):
  flat, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {'/'.join(part.key for part in path): x for path, x in flat}


@pytest.mark.parametrize(
  ('name', 'params', 'macs'),
  [
    ('alexnet', 60_965_224, 724_406_816),
    ('vgg16', 138_357_544, 15_470_264_320),
    ('vgg19', 143_667_240, 19_632_062_464),
    ('googlenet', 13_378_280, 1_582_671_872),
  ],
)
def test_counts_are_those_of_the_published_layers(name, params, macs):
  layers, heads = PUBLISHED[name]
  assert params_of(layers + heads) == params
  assert macs_of(layers) == macs
  model, variables, _ = abstract(name)
  assert models.count_params(variables) == params
  # Heads that are there to train are not computed in tests.
  assert models.count_macs(model, models.input_shape(name)) == macs
  assert list(variables) == ['params']


def test_what_is_said_of_these_counts():
  assert params_of(GOOGLENET) == 6_998_552
  # Sec. 4.1's 15.3 billion FLOPs of VGG-16 are those of its convolutions.
  assert f'{macs_of(VGG16[:13]) / 1e9:.3f}' == '15.347'
  _, padded, _ = abstract('alexnet', 224)
  model, whole, _ = abstract('alexnet', 227)
  assert leaves(padded) == leaves(whole)
  assert models.count_macs(model, (227, 227, 3)) == macs_of(ALEXNET)


@pytest.mark.parametrize(
  ('name', 'sides'),
  [
    ('alexnet', {'conv1': 55, 'conv2': 27, 'conv3': 13, 'conv5': 13}),
    ('vgg16', {'conv1_x': 224, 'conv2_x': 112, 'conv5_x': 14}),
    (
      'googlenet',
      {
        'conv1': 112,
        'conv2': 56,
        'inception3b': 28,
        'inception4a': 14,
        'inception4d': 14,
        'inception5b': 7,
      },
    ),
  ],
)
def test_features_are_the_maps_of_the_stages(name, sides):
  model, variables, images = abstract(name, dtype=jnp.bfloat16)
  features = functools.partial(model.apply, method=model.features)
  maps = jax.eval_shape(features, variables, images)
  assert {k: maps[k].shape[1:3] for k in sides} == {
    k: (side, side) for k, side in sides.items()
  }
  assert {x.dtype for x in maps.values()} == {jnp.dtype('bfloat16')}
  assert {x.dtype for x in leaves(variables).values()} == {jnp.dtype('float32')}
  logits = jax.eval_shape(model.apply, variables, images)
  assert (logits.shape, logits.dtype) == ((2, 1000), jnp.float32)


def test_auxiliary_logits_are_sown_in_training_alone():
  model, variables, images = abstract('googlenet', num_classes=7)

  def apply(train):
    return jax.eval_shape(
      lambda v, x: model.apply(
        v,
        x,
        train=train,
        mutable=['auxiliary'],
        rngs={'dropout': jax.random.key(0)},
      )[1],
      variables,
      images,
    )

  assert [x.shape for x in jax.tree.leaves(apply(True))] == [(2, 7), (2, 7)]
  assert apply(False) == {}


def test_lrn_is_the_sum_over_neighbours():
  x = np.random.default_rng(0).normal(0, 30, (2, 3, 4, 7)).astype(np.float32)
  expected = np.empty_like(x)
  for c in range(7):
    near = x[..., max(0, c - 2) : c + 3].astype(np.float64)
    expected[..., c] = x[..., c] / (2 + 1e-4 * (near**2).sum(-1)) ** 0.75
  got = LocalResponseNorm().apply({}, x)
  np.testing.assert_allclose(got, expected, rtol=1e-5)
  # As Caffe and PyTorch write it: alpha is of the mean.
  caffe = LocalResponseNorm(k=1.0, alpha=1e-4 / 5).apply({}, x[..., 2:3])
  expected = x[..., 2:3] / (1 + 1e-4 / 5 * x[..., 2:3] ** 2) ** 0.75
  np.testing.assert_allclose(caffe, expected, rtol=1e-5)


def test_decay_is_of_kernels():
  for name in models.baselines():
    _, variables, _ = abstract(name, 64)
    mask = leaves(optim.decay_mask(variables['params']))
    assert all(on == path.endswith('/kernel') for path, on in mask.items())
    assert any(mask.values())


@pytest.mark.long
def test_initialization_is_the_originals():
  params = leaves(draw_first(models.create('alexnet'), 64, 'conv', 'bias'))
  # Krizhevsky et al., Sec. 5: 1 in conv2, conv4, conv5 and the hidden layers.
  ones = {path for path, x in params.items() if 'bias' in path and x[0] == 1}
  assert ones == {f'{n}/bias' for n in ('conv2', 'conv4', 'conv5')} | {
    'fc6/bias',
    'fc7/bias',
  }
  for path, x in params.items():
    if path.endswith('kernel'):
      assert 0.0098 < x.std() < 0.0102, path
  params = leaves(draw_first(models.create('googlenet'), 64, 'conv1', 'bias'))
  biases = {path: x for path, x in params.items() if path.endswith('bias')}
  for path, x in biases.items():
    last = path.split('/')[-2] == 'fc'
    np.testing.assert_allclose(x, 0 if last else 0.2, rtol=1e-6, err_msg=path)
  kernel = params['conv1/kernel']
  assert abs(kernel).max() <= (3 / (7 * 7 * 3)) ** 0.5
  assert 0.95 < kernel.std() * (7 * 7 * 3) ** 0.5 < 1.05


def draw_first(model, size, *words):
  """The first parameters whose path has one of `words`; others not drawn."""

  def init(key):
    params = model.init(key, jnp.zeros((1, size, size, 3)))['params']
    flat = leaves(params)
    return {k: x for k, x in flat.items() if any(w in k for w in words)}

  flat = jax.jit(init)(jax.random.key(0))
  return {k: np.asarray(x) for k, x in flat.items()}


def small_vgg(**fields):
  fields = {'dropout': 0.5} | fields
  return models.VGG((1, 1), 3, filters=(4, 6), hidden=8, **fields)


def test_dropout_is_of_training_and_of_its_key():
  model = small_vgg()
  images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
  variables = jax.jit(model.init)(jax.random.key(1), images)

  def logits(number, rate=0.5):
    return model.clone(dropout=rate).apply(
      variables,
      images,
      train=True,
      rngs={'dropout': jax.random.key(number)},
    )

  tested = model.apply(variables, images)
  np.testing.assert_array_equal(logits(0), logits(0))
  assert not np.array_equal(logits(0), logits(1))
  assert not np.array_equal(logits(0), tested)
  np.testing.assert_array_equal(logits(0, rate=0.0), tested)
  # What remains is scaled up: the mean of many is near the test's.
  many = jax.jit(jax.vmap(logits))(jnp.arange(99)).mean(0)
  assert jnp.linalg.norm(many - tested) < jnp.linalg.norm(logits(0) - tested)


def test_dropout_keys_are_of_step_and_place_and_not_of_devices():
  def keys(devices, step, seed=0):
    of_device = jax.vmap(
      lambda _: _dropout_keys(seed, jnp.int32(step), 8 // devices),
      axis_name=AXIS,
    )
    words = jax.random.key_data(of_device(jnp.arange(devices)))
    return np.asarray(words).reshape(8, -1)

  np.testing.assert_array_equal(keys(1, 3), keys(4, 3))
  assert len({tuple(k) for k in np.concatenate([keys(1, 3), keys(1, 4)])}) == 16
  assert not np.array_equal(keys(1, 3), keys(1, 3, seed=1))


class Headed(nn.Module):
  """The least network with one of GoogLeNet's heads."""

  dropout: float = 0.7

  @property
  def uses_dropout(self):
    return self.dropout > 0

  @nn.compact
  def __call__(self, images, train=False):
    x = nn.relu(nn.Conv(4, (3, 3), name='conv1')(images))
    head = AuxiliaryHead(3, self.dropout, name='auxiliary1')
    if train or self.is_initializing():
      logits = head(x, train)
      if not self.is_initializing():
        self.sow('auxiliary', 'logits', logits)
    return nn.Dense(3, name='fc')(x.mean((1, 2)))


def batch_of(examples, size):
  """Images and labels of 3 classes."""
  images = np.random.default_rng(0).normal(size=(examples, size, size, 3))
  return images.astype(np.float32), np.arange(examples, dtype=np.int32) % 3


def trained(model, *, size=8, firsts=(0,), parts=1):
  """Parameters before, and after a step of each of these numbers; the loss."""
  schedule = schedules.create(
    common.get_config().schedule, steps=100, steps_per_epoch=10.0
  )
  optimizer = optim.create(momentum=0.9, weight_decay=0.0)
  state = create_state(
    model,
    optimizer,
    schedule,
    seed=0,
    image_shape=(size, size, 3),
    normalization=Normalization.by(np.zeros(3)),
  )
  step = make_train_step(
    model,
    optimizer,
    schedule,
    lambda step, common, share, normalization: share,
    microbatches=parts,
  )
  # A step consumes what it is given.
  state = jax.tree.map(np.array, state)
  batch, afters = shard(batch_of(4, size)), []
  for first in firsts:
    start = state.replace(step=np.int32(first))
    start, metrics = replicate((start, TrainMetrics.empty()))
    end, metrics = step(start, metrics, (), batch)
    assert end.batch_stats == {}
    afters.append(leaves(jax.device_get(end.params)))
  return leaves(state.params), afters, jax.device_get(metrics).compute()


def test_a_step_draws_anew_and_parts_draw_as_the_whole():
  model = small_vgg()
  _, (once, again, later), _ = trained(model, firsts=(0, 0, 1))
  _, (in_parts,), _ = trained(model, parts=2)
  for path, x in once.items():
    np.testing.assert_array_equal(again[path], x)
    np.testing.assert_allclose(in_parts[path], x, rtol=1e-4, atol=1e-6)
  assert not np.array_equal(later['fc/kernel'], once['fc/kernel'])


def test_auxiliary_losses_weigh_three_tenths():
  model = Headed(dropout=0.0)
  before, (after,), values = trained(model)
  images, labels = batch_of(4, 8)

  def objective(params):
    logits, sown = model.apply(
      {'params': params}, images, train=True, mutable=['auxiliary']
    )
    (extra,) = jax.tree.leaves(sown)
    own, extra = (
      -jax.nn.log_softmax(x)[jnp.arange(4), labels].mean()
      for x in (logits, extra)
    )
    return own + 0.3 * extra, own  # Szegedy et al. 2014, Sec. 5

  params = traverse_util.unflatten_dict(before, sep='/')
  gradients, own = jax.jit(jax.grad(objective, has_aux=True))(params)
  for path, gradient in leaves(gradients).items():
    assert np.any(gradient), path
    np.testing.assert_allclose(
      after[path], before[path] - 0.1 * gradient, rtol=1e-4, atol=1e-6
    )
  # What is recorded is the network's own loss, as in tests.
  np.testing.assert_allclose(values['loss'], own, rtol=1e-5)


@pytest.mark.long
def test_a_step_of_googlenet_trains_all_of_it():
  model = models.create('googlenet', num_classes=3)
  before, (after,), _ = trained(model, size=64)
  assert {path.split('/')[0] for path in before} >= {'auxiliary1', 'auxiliary2'}
  for path, x in before.items():
    assert not np.array_equal(after[path], x), path


def test_a_checkpoint_without_bn_is_whole_and_gets_new_heads(tmp_path):
  model = small_vgg()
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
  state = variables | {
    'normalization': {'mean': np.zeros(3), 'std': np.ones(3)}
  }
  found = checkpoint.Found(
    3, tmp_path, checkpoint.flatten({'state': state}), {'class_names': ['a']}
  )
  read = finetune.variables_of(found, jax.eval_shape(lambda: variables))
  assert read['batch_stats'] == {}
  assert leaves(read['params']).keys() == leaves(variables['params']).keys()

  headed = Headed()
  fresh = create_state(
    headed,
    optim.create(momentum=0.9, weight_decay=0.0),
    schedules.create(
      common.get_config().schedule, steps=9, steps_per_epoch=3.0
    ),
    seed=1,
    image_shape=(8, 8, 3),
    normalization=Normalization.by(np.zeros(3)),
  )
  old = jax.tree.map(jnp.zeros_like, fresh.params)
  found = checkpoint.Found(
    3,
    tmp_path,
    checkpoint.flatten({'state': state | {'params': old}}),
    {'class_names': ['a']},
  )
  config = common.get_config()
  started = leaves(finetune.start(config, found, fresh, ['b', 'c']).params)
  new = {path for path, x in started.items() if np.any(x)}
  assert new == {'fc/kernel', 'auxiliary1/fc/kernel'}


@pytest.mark.parametrize(
  ('name', 'overrides', 'words'),
  [
    ('vgg16', {'shortcut': 'B'}, 'vgg16 has no shortcut'),
    ('alexnet', {'stem_pool': 'padded'}, 'alexnet has no stem_pool'),
    ('googlenet', {'version': 'v1'}, 'googlenet has no version'),
    ('vgg19', {'frozen_stages': 1}, 'vgg19 has no frozen_stages'),
    ('vgg19', {'remat': True}, 'vgg19 has no remat'),
    ('vgg16', {'drop_out': 0.1}, "did you mean 'dropout'"),
    ('vgg16', {'auxiliary_dropout': 0.1}, 'there are dtype, dropout$'),
    ('vgg16', {'dropout': 1.0}, r'in \[0, 1\)'),
    ('vgg16', {'dtype': jnp.float16}, 'float32 or bfloat16'),
    ('vgg16', {'num_classes': 0}, 'at least 1'),
    ('vgg17', {}, "did you mean 'vgg1"),
  ],
)
def test_what_means_nothing_is_refused(name, overrides, words):
  with pytest.raises(ValueError, match=words):
    models.create(name, **overrides)


@pytest.mark.parametrize(
  ('name', 'least'),
  [('alexnet', 36), ('vgg16', 32), ('vgg19', 32), ('googlenet', 47)],
)
def test_small_images_are_refused(name, least):
  abstract(name, least)
  with pytest.raises(ValueError, match=f'at least {least}x{least}'):
    abstract(name, least - 1)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'model.shortcut': 'A'}, 'vgg16 has no shortcut'),
    ({'model.version': 'v1.5'}, 'vgg16 has no version'),
    ({'model.stem_pool': 'ceil'}, 'vgg16 has no stem_pool'),
    ({'model.zero_init_residual': True}, 'vgg16 has no zero_init_residual'),
    ({'model.remat': True}, 'vgg16 has no remat'),
    ({'finetune.frozen_stages': 2}, 'vgg16 has no frozen_stages'),
    ({'finetune.frozen_bn': True}, 'vgg16 has no frozen_bn'),
    ({'test.views': 'dense'}, "it can be 'single' or 'ten_crop'"),
    ({'model.name': 'alexnet', 'test.views': 'dense'}, 'not for alexnet'),
  ],
)
def test_a_config_is_refused_what_its_network_has_not(fields, words):
  config = load_config('configs/imagenet_vgg16.py')
  config.update_from_flattened_dict(fields)
  with pytest.raises(UserError, match=words):
    checks.check(config)


@pytest.mark.parametrize('name', models.baselines())
def test_a_config_is_its_original(name):
  path = command.ROOT / 'configs' / f'imagenet_{name}.py'
  config = load_config(str(path))
  checks.check(config)
  # Groups of BN are no concern of theirs, nor are parts of a batch.
  config.update({'batch_size': 250, 'run': {'microbatches': 5}})
  checks.check_devices(config, 2)
  plan = make_plan(config, 1_281_167)
  schedule = schedules.create(
    config.schedule, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch
  )
  # By 10 three times, but GoogLeNet by 4 % every 8 epochs.
  drops = 31 if name == 'googlenet' else 3
  assert (len(schedule.drops), schedule.learning_rate) == (drops, 0.01)
  decay = 2e-4 if name == 'googlenet' else 5e-4
  assert config.optimizer.weight_decay == decay
  assert config.bn_recompute_batches == 0
  model = create_model(config, num_classes=1000, axis_name=AXIS)
  assert model == models.create(name, dtype='float32')
  doc = ast.get_docstring(ast.parse(path.read_text()))
  assert f'python -m resnet_jax.main --config=configs/{path.name}' in doc
  layers, heads = PUBLISHED[name]
  assert f'{params_of(layers + heads):,} parameters' in doc
  assert f'{macs_of(layers) / 1e9:.3f} billion' in doc


@pytest.mark.long
@pytest.mark.parametrize('name', ['vgg16', 'vgg19'])
def test_vgg_is_torchvisions(name):
  from tests.weights.test_weights import torch, torchvision_net

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


def drawn(model, size, dtype=np.float64):
  """Variables of a scale at which every array matters."""
  images = jax.ShapeDtypeStruct((1, size, size, 3), dtype)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  rng = np.random.default_rng(0)

  def draw(x):
    scale = (2 / np.prod(x.shape[:-1])) ** 0.5 if len(x.shape) > 1 else 0.1
    return rng.normal(0, scale, x.shape).astype(dtype)

  return jax.tree.map(draw, shapes)


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_googlenet_through_the_command_to_its_ends(tmp_path):
  pytest.importorskip('tensorflow')
  folder = write_folder(tmp_path / 'pictures', train=6, val=3)
  words = (
    '--config=configs/imagenet_googlenet.py',
    f'--config.dataset.folder={folder}',
    '--config.dataset.crop_size=64',
    '--config.test.shorter_side=68',
    '--config.test.dense_shorter_sides=(64,)',
    '--config.batch_size=4',
    '--config.duration=4',
    '--config.schedule.drops=(2,)',
    '--config.dataset.mean=imagenet',
    '--config.bn_recompute_batches=3',
    '--config.run.tensorboard=False',
    '--config.run.eval_every=4',
    '--config.run.eval_batch_size=6',
    '--config.run.checkpoint_every=2',
  )
  uncut = tmp_path / 'uncut'
  out = command.run_well(*words, f'--workdir={uncut}')
  assert re.search(r'googlenet: [\d,]+ parameters', out)
  assert 'no BN' in out
  # What a run that was cut behind step 2 would have left.
  cut = tmp_path / 'cut'
  shutil.copytree(uncut, cut)
  shutil.rmtree(cut / 'checkpoints' / 'latest' / '4')
  assert 'resumed at step 2 of 4' in command.run_well(
    *words, f'--workdir={cut}'
  )
  ours, theirs = (
    checkpoint.read_step(w / 'checkpoints' / 'latest' / '4').arrays
    for w in (cut, uncut)
  )
  assert ours.keys() == theirs.keys()
  for name, x in theirs.items():
    np.testing.assert_array_equal(ours[name], x, err_msg=name)
  for views in ('ten_crop', 'dense'):
    out = command.run_well(
      *words,
      '--mode=eval',
      f'--workdir={uncut}',
      f'--config.test.views={views}',
    )
    assert 'of 6)' in out
