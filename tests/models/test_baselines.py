"""The networks that the paper compares its own with, against their papers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models, optim
from resnet_jax.models.baseline_layers import LocalResponseNorm
from tests.models.published import (
  ALEXNET,
  GOOGLENET,
  PUBLISHED,
  VGG16,
  abstract,
  leaves,
  macs_of,
  params_of,
)

pytestmark = pytest.mark.usefixtures('quick_compilation')


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
  # In Caffe and PyTorch alpha is a factor of the mean.
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
  """The first values of the parameters whose paths have one of `words`."""

  def init(key):
    params = model.init(key, jnp.zeros((1, size, size, 3)))['params']
    flat = leaves(params)
    return {k: x for k, x in flat.items() if any(w in k for w in words)}

  flat = jax.jit(init)(jax.random.key(0))
  return {k: np.asarray(x) for k, x in flat.items()}


@pytest.mark.parametrize(
  ('name', 'overrides', 'words'),
  [
    ('vgg16', {'shortcut': 'B'}, 'vgg16 has no shortcut'),
    ('alexnet', {'stem_pool': 'padded'}, 'alexnet has no stem_pool'),
    ('googlenet', {'version': 'v1'}, 'googlenet has no version'),
    ('vgg19', {'frozen_stages': 1}, 'vgg19 has no frozen_stages'),
    ('vgg19', {'remat': True}, 'vgg19 has no remat'),
    ('vgg16', {'drop_out': 0.1}, "did you mean 'dropout'"),
    (
      'vgg16',
      {'auxiliary_dropout': 0.1},
      'dtype, precision, dropout$',
    ),
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
