"""Fig. 7's numbers against a forward pass in plain NumPy."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models
from resnet_jax.config.file import to_json
from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.paper import responses
from resnet_jax.paper.responses import Definition
from resnet_jax.runs import checkpoint

pytestmark = pytest.mark.usefixtures('quick_compilation')

EPSILON = 1e-5
GROUP, BATCH = 4, 8
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 8, 6, 3), np.uint8)


def network(name, images=IMAGES, **overrides):
  """A network with random weights and running statistics."""
  overrides = {'dtype': jnp.float64, 'bn_group_size': GROUP} | overrides
  model = models.create(name, **overrides)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images[:1])
  random = np.random.default_rng(1)

  def draw(path, x):
    leaf = path[-1].key
    if leaf in ('scale', 'var'):
      values = random.uniform(0.5, 1.5, x.shape)
    else:
      fan_in = np.prod(x.shape[:-1]) if leaf == 'kernel' else 8
      values = random.normal(0, np.sqrt(2 / fan_in), x.shape)
    return values.astype(x.dtype)

  variables = jax.tree_util.tree_map_with_path(draw, shapes)
  normalization = Normalization.by(images.mean(0))
  return model, variables | {'normalization': normalization}


def convolve(x, kernel, stride):
  """3x3, padded by 1 on each side, one tap after the other."""
  height, width = (-(-n // stride) for n in x.shape[1:3])
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  total = 0
  for i in range(3):
    for j in range(3):
      tap = padded[:, i::stride, j::stride][:, :height, :width]
      total = total + tap @ kernel[i, j]
  return total


def normalize(x, params, running):
  """By running averages, or by groups of examples where there are none."""
  if running is not None:
    mean, var = running['mean'], running['var']
  else:
    groups = x.reshape(-1, GROUP, *x.shape[1:])
    mean = groups.mean((1, 2, 3), keepdims=True)
    var = groups.var((1, 2, 3), keepdims=True)
    each = (len(groups), GROUP, 1, 1, x.shape[-1])
    mean, var = (
      np.broadcast_to(s, each).reshape(-1, 1, 1, x.shape[-1])
      for s in (mean, var)
    )
  return (x - mean) / np.sqrt(var + EPSILON) * params['scale'] + params['bias']


def forward(variables, images, *, residual, running):
  """Every response, by the path of its convolution."""
  params, stats = variables['params'], variables['batch_stats']
  normalization = variables['normalization']
  x = images.astype(np.float32) - normalization.mean
  outputs = {}

  def layer(x, path, stride):
    *parents, conv = path.split('/')
    here, averages = params, stats
    for parent in parents:
      here, averages = here[parent], averages[parent]
    bn = conv.replace('conv', 'bn')
    x = convolve(x, np.asarray(here[conv]['kernel']), stride)
    x = normalize(x, here[bn], averages[bn] if running else None)
    outputs[path] = x
    return x

  x = np.maximum(layer(x.astype(np.float64), 'conv1', 1), 0)
  for stage in ('conv2_x', 'conv3_x', 'conv4_x'):
    stride = 1 if stage == 'conv2_x' else 2
    y = np.maximum(layer(x, f'{stage}/block1/conv1', stride), 0)
    y = layer(y, f'{stage}/block1/conv2', 1)
    if residual:
      x = x[:, ::stride, ::stride]
      y = y + np.pad(x, ((0, 0),) * 3 + ((0, y.shape[-1] - x.shape[-1]),))
    x = np.maximum(y, 0)
  return outputs


@pytest.mark.parametrize('statistics', ['running', 'batch'])
@pytest.mark.parametrize('name', ['cifar_resnet8', 'cifar_plain8'])
def test_against_numpy(name, statistics):
  with jax.enable_x64(True):
    model, variables = network(name)
    wanted = forward(
      variables,
      IMAGES,
      residual='resnet' in name,
      running=statistics == 'running',
    )
    for pooling, axes in (('all', None), ('channels', (0, 1, 2))):
      definition = Definition(
        pooling=pooling, statistics=statistics, batch_size=BATCH
      )
      found = responses.layer_responses(model, variables, IMAGES, definition)
      assert list(found) == list(wanted)
      np.testing.assert_allclose(
        list(found.values()),
        [y.std(axes).mean() for y in wanted.values()],
        rtol=1e-9,
      )


def test_images_count_once_and_only_the_first():
  model, variables = network('cifar_plain8', dtype=jnp.float32, frozen_bn=True)

  def stds(examples, **values):
    definition = Definition(batch_size=BATCH, **values)
    found = responses.layer_responses(model, variables, examples, definition)
    return list(found.values())

  # The last of three batches is half full.
  twice = np.concatenate([IMAGES[:10], IMAGES[:10]])
  np.testing.assert_allclose(stds(twice), stds(IMAGES, images=10), rtol=1e-5)
  # Three images fill no batch, and frozen BN has its statistics all the same.
  part = stds(IMAGES, images=11, statistics='batch')
  assert part == stds(IMAGES[:8], statistics='batch')
  assert part != stds(IMAGES[:8])


def test_layers_in_order():
  def paths(name):
    shape = models.input_shape(name)
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    model = models.create(name)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    layers = responses.layers_of(variables)
    for conv, bn in layers.items():
      assert bn == (*conv[:-1], f'bn{conv[-1][-1]}')
    return ['/'.join(path) for path in layers]

  assert paths('resnet50') == [
    f'conv{stage}_x/block{block}/conv2'
    for stage, blocks in zip(range(2, 6), (3, 4, 6, 3), strict=True)
    for block in range(1, blocks + 1)
  ]
  assert paths('cifar_resnet62') == [
    'conv1',
    *(
      f'conv{stage}_x/block{block}/conv{conv}'
      for stage in (2, 3, 4)
      for block in range(1, 11)
      for conv in (1, 2)
    ),
  ]
  assert len(paths('resnet18')) == 16


@pytest.fixture
def saved(tmp_path, digits_npz):
  """A checkpoint of a network as it was initialized, and its variables."""
  from configs import digits_resnet20

  settings = digits_resnet20.get_config()
  settings.dataset.npz = str(digits_npz)
  settings.model.name = 'cifar_resnet8'
  with np.load(digits_npz) as data:
    images = data['train_images']
  model, variables = network('cifar_resnet8', images, dtype=jnp.float32)
  series = checkpoint.Series(tmp_path / 'latest', keep=1)
  meta = {
    'config': to_json(settings),
    'data': 'other data',
    'class_names': list('0123456789'),
    'num_classes': 10,
  }
  # A run's arrays are in its state.
  series.save(30, {'state': variables}, meta)
  series.wait()
  series.close()
  return tmp_path / 'latest' / '30', model, variables, images


def test_measure(saved, digits_npz):
  path, model, variables, images = saved
  definition = Definition(images=20, batch_size=16)
  content = json.loads(json.dumps(responses.measure(path, definition)))
  found = responses.layer_responses(model, variables, images[:20], definition)
  layers = content.pop('layers')
  assert [layer['path'] for layer in layers] == list(found)
  np.testing.assert_allclose(
    [layer['std'] for layer in layers], list(found.values()), rtol=1e-5
  )
  assert content == {
    'definition': dataclasses.asdict(definition),
    'network': 'cifar_resnet8',
    'data': str(digits_npz),
    'step': 30,
    'checkpoint': checkpoint.read_step(path).fingerprint,
    'images': 20,
  }
  with pytest.raises(UserError, match=r"'tset' \(did you mean 'test'\?\)"):
    responses.measure(path, Definition(split='tset'))
  with pytest.raises(UserError, match='no checkpoint'):
    responses.measure(path.parent, definition)


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    ({'images': 0}, 'images .* is 0'),
    ({'batch_size': 2.5}, 'batch_size .* whole number'),
    ({'pooling': 'channel'}, "did you mean 'channels'"),
    ({'statistics': 'none'}, "'running' or 'batch'"),
  ],
)
def test_definitions_that_mean_nothing(values, message):
  with pytest.raises(UserError, match=message):
    Definition(**values)


def test_what_does_not_fit():
  model, variables = network('cifar_plain8', dtype=jnp.float32)

  def refused(model=model, **values):
    definition = Definition(statistics='batch', **values)
    with pytest.raises(UserError) as caught:
      responses.layer_responses(model, variables, IMAGES, definition)
    return str(caught.value)

  assert '16 images fill no batch of 20' in refused(batch_size=20)
  assert 'try 8' in refused(batch_size=6)
  assert 'VGG has none' in refused(models.create('vgg16'))
