"""Blocks in a loop compute what they compute one after the other."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models
from resnet_jax.models.dense import dense_logits
from tests import command

CLASSES = 5


def pair(name, **overrides):
  """A network, and its twin in a loop."""
  model = models.create(
    name, num_classes=CLASSES, dtype=jnp.float64, bn_group_size=2, **overrides
  )
  return model, model.clone(scan_blocks=True)


def inputs(model, size, examples=4):
  images, weights = (
    jax.random.normal(jax.random.key(i), shape, jnp.float64)
    for i, shape in enumerate(
      [(examples, size, size, 3), (examples, CLASSES)], 1
    )
  )
  return (
    models.init(model, jax.random.key(0), images.shape[1:]),
    images,
    weights,
  )


def gradients(model, variables, images, weights):
  """Gradients, and logits with the new running statistics."""

  def loss(params):
    outputs = model.apply(
      variables | {'params': params},
      images,
      train=True,
      mutable=['batch_stats'],
    )
    return (outputs[0] * weights).mean(), outputs

  return jax.grad(loss, has_aux=True)(variables['params'])


def assert_equal(actual, desired, tolerance=1e-10):
  def compare(a, b):
    scale = float(jnp.abs(b).max()) or 1.0
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)

  jax.tree.map(compare, actual, desired)


@pytest.mark.parametrize(
  ('name', 'size', 'overrides'),
  [
    ('cifar_resnet26', 8, {}),
    ('cifar_plain26', 8, {}),
    ('cifar_resnet20', 8, {'shortcut': 'B', 'remat': True}),
    ('cifar_resnet20', 8, {'shortcut': 'C', 'zero_init_residual': True}),
    ('cifar_resnet20', 8, {'frozen_stages': 2}),
    ('cifar_resnet20', 8, {'frozen_bn': True}),
    ('resnet50', 32, {'version': 'v1.5'}),
  ],
)
def test_gradients_logits_and_running_statistics(name, size, overrides):
  with jax.enable_x64(True):
    one_by_one, loop = pair(name, **overrides)
    case = inputs(one_by_one, size)
    actual, desired = (
      jax.jit(functools.partial(gradients, model))(*case)
      for model in (loop, one_by_one)
    )
    assert_equal(actual, desired)
    variables, images, _ = case
    assert_equal(
      *(jax.jit(m.apply)(variables, images) for m in (loop, one_by_one))
    )
    maps = (
      jax.jit(functools.partial(m.apply, method=m.features))(variables, images)
      for m in (loop, one_by_one)
    )
    assert_equal(*maps)


def test_it_is_a_loop_of_one_block():
  sizes = []
  for depth in (26, 56):
    _, loop = pair(f'cifar_resnet{depth}')
    shapes = jax.eval_shape(
      loop.init, jax.random.key(0), jnp.zeros((2, 8, 8, 3))
    )
    jaxpr = jax.make_jaxpr(loop.apply)(shapes, jnp.zeros((2, 8, 8, 3)))
    sizes.append(str(jaxpr).count('conv_general_dilated['))
  assert sizes == [13, 13]  # the stem; in 3 stages 2 blocks of 2 each


def test_the_variables_are_those_of_blocks_one_by_one():
  one_by_one, loop = pair('cifar_resnet26')
  key, images = jax.random.key(0), jnp.zeros((1, 8, 8, 3))
  shapes = (jax.eval_shape(m.init, key, images) for m in (loop, one_by_one))
  assert jax.tree.map(lambda a, b: a == b, *shapes)
  assert models.count_macs(one_by_one, (32, 32, 3)) > 0


def test_the_dense_test_masks_inside_of_blocks():
  with jax.enable_x64(True):
    nets = pair('cifar_resnet26')
    variables, images, _ = inputs(nets[0], 40, 2)
    sizes = jnp.array([[40, 36], [33, 40]])
    logits = [
      dense_logits(m, variables, images, sizes, crop=32)[0] for m in nets
    ]
    np.testing.assert_array_equal(*logits)


def test_a_run_in_loops_has_the_result_of_one_without(tmp_path, digits_npz):
  losses = []
  for scan in (False, True):
    folder = tmp_path / str(scan)
    command.run_well(
      *command.TINY,
      f'--config.dataset.npz={digits_npz}',
      f'--workdir={folder}',
      '--config.model.name=cifar_resnet20',
      '--config.model.dtype=float64',
      '--config.duration=3',
      '--config.run.log_every=1',
      f'--config.run.scan_blocks={scan}',
    )
    lines = (folder / 'metrics.jsonl').read_text().splitlines()
    losses.append([json.loads(line)['loss'] for line in lines])
  assert len(losses[0]) > 3
  np.testing.assert_allclose(*losses, rtol=1e-8)
