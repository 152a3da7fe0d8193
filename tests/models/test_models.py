"""The parts of the networks, and their laws (Sec. 3.3, 4.1, 4.2)."""

import functools
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models

pytestmark = pytest.mark.usefixtures('quick_compilation')


@functools.cache
def init(name, shape=(1, 8, 8, 3), **overrides):
  model = models.create(name, **overrides)
  images = jax.random.normal(jax.random.key(1), shape)
  return model, jax.jit(model.init)(jax.random.key(0), images), images


def leaves(tree):
  flat, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {'/'.join(part.key for part in path): x for path, x in flat}


def shapes(name, **overrides):
  model = models.create(name, **overrides)
  images = jnp.zeros((1, 64, 64, 3))
  return leaves(jax.eval_shape(model.init, jax.random.key(0), images))


@pytest.mark.parametrize(
  ('name', 'shortcut', 'projecting'),
  [
    ('resnet18', 'A', []),
    ('resnet34', 'B', ['conv3_x/block1', 'conv4_x/block1', 'conv5_x/block1']),
    # A bottleneck's first stage grows, too: from 64 to 256 channels.
    ('resnet50', 'B', [f'conv{i}_x/block1' for i in (2, 3, 4, 5)]),
    (
      'resnet34',
      'C',
      [
        f'conv{i}_x/block{j}'
        for i, size in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True)
        for j in range(1, size + 1)
      ],
    ),
    ('cifar_resnet20', 'B', ['conv3_x/block1', 'conv4_x/block1']),
  ],
)
def test_which_blocks_project(name, shortcut, projecting):
  found = [
    path.removeprefix('params/').removesuffix('/shortcut_conv/kernel')
    for path in shapes(name, shortcut=shortcut)
    if path.endswith('shortcut_conv/kernel')
  ]
  assert found == projecting


def test_names_are_the_checkpoint_format():
  names = shapes('resnet50')
  for name in (
    'params/conv1/kernel',
    'params/bn1/scale',
    'params/conv2_x/block1/shortcut_conv/kernel',
    'params/conv2_x/block1/shortcut_bn/bias',
    'params/conv4_x/block6/conv3/kernel',
    'params/conv5_x/block3/bn3/scale',
    'params/fc/kernel',
    'params/fc/bias',
    'batch_stats/bn1/mean',
    'batch_stats/conv5_x/block3/bn3/var',
  ):
    assert name in names
  assert names['params/conv5_x/block1/conv2/kernel'].shape == (3, 3, 512, 512)


@pytest.mark.parametrize('size', [(8, 8), (7, 9)])
@pytest.mark.parametrize('cls', [models.BasicBlock, models.BottleneckBlock])
@pytest.mark.parametrize('version', ['v1', 'v1.5'])
def test_residual_and_shortcut_sample_the_same_grid(size, cls, version):
  fields = {'version': version} if cls is models.BottleneckBlock else {}
  filters = 6 if cls is models.BasicBlock else 2
  x = jax.random.uniform(jax.random.key(0), (2, *size, 2))
  make = functools.partial(
    cls, filters, 2, norm=models.GroupedBatchNorm, **fields
  )
  variables = make(shortcut='A').init(jax.random.key(0), x, False)

  def delta(kernel):  # passes channel i to channel i, from the window's centre
    out = np.zeros(kernel.shape, np.float32)
    centre = kernel.shape[0] // 2
    for i in range(min(kernel.shape[2:])):
      out[centre, centre, i, i] = 1
    return out

  params = jax.tree.map(
    lambda p: delta(p) if p.ndim == 4 else p, variables['params']
  )
  variables = {**variables, 'params': params}
  residual = make(shortcut=None).apply(variables, x, False)
  both = make(shortcut='A').apply(variables, x, False)
  grid = x[:, ::2, ::2]
  # BN in its first state divides by sqrt(1 + eps) in each layer.
  np.testing.assert_allclose(residual[..., :2], grid, rtol=1e-4)
  # The new channels of option A are the last ones, and zero.
  np.testing.assert_allclose(both[..., :2] - residual[..., :2], grid, rtol=1e-4)
  np.testing.assert_array_equal(both[..., 2:], residual[..., 2:])


def test_plain_is_residual_without_shortcuts():
  residual, variables, images = init('cifar_resnet8')
  plain = models.create('cifar_plain8')
  assert shapes('cifar_plain8') == shapes('cifar_resnet8')
  assert not np.allclose(
    *(jax.jit(net.apply)(variables, images) for net in (plain, residual))
  )
  # A plain block is the residual block whose input reaches it by no shortcut.
  norm = models.GroupedBatchNorm
  x = jax.nn.relu(jax.random.normal(jax.random.key(2), (2, 6, 6, 4)))
  blocks = [
    models.BasicBlock(4, 1, shortcut=s, norm=norm, zero_init_residual=z)
    for s, z in (('A', True), (None, True))
  ]
  outputs = [
    b.apply(b.init(jax.random.key(0), x, False), x, False) for b in blocks
  ]
  np.testing.assert_array_equal(outputs[0], x)
  np.testing.assert_array_equal(outputs[1], jnp.zeros_like(x))


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    (
      'resnet18',
      {
        'conv1': (32, 32, 64),
        'conv2_x': (16, 16, 64),
        'conv3_x': (8, 8, 128),
        'conv4_x': (4, 4, 256),
        'conv5_x': (2, 2, 512),
      },
    ),
    (
      'cifar_resnet8',
      {
        'conv1': (64, 64, 16),
        'conv2_x': (64, 64, 16),
        'conv3_x': (32, 32, 32),
        'conv4_x': (16, 16, 64),
      },
    ),
  ],
)
def test_features_are_the_stem_and_the_stages(name, expected):
  model = models.create(name)
  images = jnp.zeros((2, 64, 64, 3))
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  maps = jax.eval_shape(
    lambda v: model.apply(v, images, method=model.features), variables
  )
  assert {k: v.shape[1:] for k, v in maps.items()} == expected


def test_logits_are_fc_of_the_last_stages_mean():
  model, variables, images = init('cifar_resnet8', (3, 9, 8, 2))
  maps = model.apply(variables, images, method=model.features)
  fc = variables['params']['fc']
  expected = (
    np.asarray(maps['conv4_x']).mean((1, 2)) @ fc['kernel'] + fc['bias']
  )
  logits = model.apply(variables, images)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_initialization_is_hes_gaussian_with_fan_in():
  _, variables, _ = init('cifar_resnet20')
  deviations = []
  for path, x in leaves(variables).items():
    name = path.split('/')[-1]
    if name == 'kernel':
      z = np.ravel(x) / np.sqrt(2 / np.prod(x.shape[:-1]))
      # Five standard errors of the deviation of a Gaussian sample.
      assert abs(z.std() - 1) < 5 / np.sqrt(2 * z.size), path
      deviations.append(z)
    else:
      assert (x == (1 if name in ('scale', 'var') else 0)).all(), path
  # A Gaussian has 0.27 % beyond three deviations; the truncated one that most
  # libraries call He's has none.
  beyond = np.abs(np.concatenate(deviations)) > 3
  assert 0.0022 < beyond.mean() < 0.0032


def test_zero_init_touches_the_last_scale_of_each_block_alone():
  _, usual, _ = init('cifar_resnet8')
  _, zeroed, _ = init('cifar_resnet8', zero_init_residual=True)
  changed = {
    path
    for path, x in leaves(usual).items()
    if not np.array_equal(x, leaves(zeroed)[path])
  }
  assert changed == {f'params/conv{i}_x/block1/bn2/scale' for i in (2, 3, 4)}


def test_bfloat16_computes_and_keeps_float32():
  model, variables, images = init('cifar_resnet8', (8, 8, 8, 3))
  half = model.clone(dtype=jnp.bfloat16, bn_group_size=0)
  logits, updates = jax.eval_shape(
    functools.partial(half.apply, train=True, mutable=['batch_stats']),
    variables,
    images,
  )
  assert logits.dtype == jnp.float32
  assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype('float32')}
  maps = jax.eval_shape(
    functools.partial(half.apply, method=half.features), variables, images
  )
  assert {x.dtype for x in maps.values()} == {jnp.dtype('bfloat16')}
  fresh = jax.eval_shape(half.init, jax.random.key(0), images)
  assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  exact = jax.jit(model.apply)(variables, images)
  error = jnp.linalg.norm(jax.jit(half.apply)(variables, images) - exact)
  assert 0 < error < 0.03 * jnp.linalg.norm(exact)


def test_remat_changes_nothing_but_memory():
  model, variables, images = init('cifar_resnet8', (4, 8, 8, 3))

  def gradients(model):
    def loss(params):
      logits, _ = model.apply(
        variables | {'params': params},
        images,
        train=True,
        mutable=['batch_stats'],
      )
      return jnp.square(logits).sum()

    return jax.jit(jax.value_and_grad(loss))(variables['params'])

  usual = gradients(model.clone(bn_group_size=0))
  remat = gradients(model.clone(bn_group_size=0, remat=True))
  for x, y in zip(*map(jax.tree.leaves, (usual, remat)), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('remat', 'blocks'), [(False, 0), (True, 3)])
def test_remat_recomputes_each_block(remat, blocks):
  model = models.create('cifar_resnet8', remat=remat)
  images = jnp.zeros((1, 8, 8, 3))
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  jaxpr = jax.make_jaxpr(model.apply)(variables, images)
  # The primitive's name has been `remat`, `remat2` and `checkpoint`.
  assert len(re.findall(r'= (?:remat|checkpoint)\w*\[', str(jaxpr))) == blocks


@pytest.mark.parametrize('shape', [(2, 1, 1, 1), (1, 5, 31, 7), (2, 33, 2, 3)])
def test_cifar_nets_take_any_size_and_channels(shape):
  model, variables, images = init('cifar_resnet8', shape, num_classes=3)
  assert model.apply(variables, images).shape == (shape[0], 3)


@pytest.mark.parametrize(
  ('name', 'overrides', 'words'),
  [
    ('resnet51', {}, "did you mean 'resnet5"),
    ('cifar_resnet21', {}, 'nearest are 20 and 26'),
    ('cifar_resnet2', {}, 'nearest are 8 and 14'),
    ('plain50', {}, 'no network'),
    ('plain34', {'shortcut': 'B'}, 'resnet34'),
    ('resnet18', {'shortcut': None}, 'plain18'),
    ('resnet18', {'shortcut': 'D'}, "'A', 'B' or 'C'"),
    ('resnet18', {'version': 'v1.5'}, 'no bottlenecks'),
    ('resnet50', {'version': 'v2'}, "'v1' or 'v1.5'"),
    ('resnet50', {'short_cut': 'A'}, "did you mean 'shortcut'"),
    ('resnet50', {'dtype': jnp.float16}, 'float32 or bfloat16'),
    ('resnet50', {'dtype': 'nonsense'}, 'float32 or bfloat16'),
    ('resnet50', {'bn_group_size': None}, '0: the whole batch'),
    ('resnet20', {}, "did you mean 'cifar_resnet20'"),
    ('resnet50', {'num_classes': 0}, 'at least 1'),
    ('resnet50', {'bn_group_size': -1}, 'negative'),
  ],
)
def test_what_means_nothing_is_refused(name, overrides, words):
  with pytest.raises(ValueError, match=words):
    models.create(name, **overrides)


@pytest.mark.parametrize(
  ('name', 'shape', 'words'),
  [
    ('cifar_resnet8', (8, 8, 3), r'\[examples, height, width, channels\]'),
    ('resnet18', (32, 2, 2, 3), 'at least 3x3'),
    ('cifar_resnet8', (96, 8, 8, 3), 'use a multiple of 64'),
  ],
)
def test_images_that_do_not_fit_are_refused(name, shape, words):
  model = models.create(name)
  variables = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
  )
  with pytest.raises(ValueError, match=words):
    jax.eval_shape(
      lambda v: model.apply(
        v, jnp.zeros(shape), train=True, mutable=['batch_stats']
      ),
      variables,
    )


def test_models_import_jax_and_flax_alone():
  code = (
    'import sys; import resnet_jax.models; '
    'heavy = {"tensorflow", "tensorflow_datasets", "clu", "ml_collections"}; '
    'assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()'
  )
  subprocess.run([sys.executable, '-c', code], check=True)


def test_v1_and_v1_5_differ_in_strides_alone():
  kinds = {}
  for version in ('v1', 'v1.5'):
    model = models.create('resnet50', version=version)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    text = str(jax.make_jaxpr(model.apply)(variables, images))
    strides = re.findall(r'window_strides=\((\d)', text)
    kinds[version] = jax.tree.map(lambda x: x.shape, variables), strides
  (shapes, v1), (same_shapes, v15) = kinds.values()
  assert shapes == same_shapes
  # conv3_1, conv4_1 and conv5_1: from their first convolution to the second.
  moved = [i for i, (a, b) in enumerate(zip(v1, v15, strict=True)) if a != b]
  assert [(v1[i], v15[i]) for i in moved] == [('2', '1'), ('1', '2')] * 3
  assert moved[1::2] == [i + 1 for i in moved[::2]]
