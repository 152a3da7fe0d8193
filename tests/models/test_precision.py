"""All products of a network have the precision that it was given."""

import json

import jax
import jax.extend.core
import jax.numpy as jnp
import pytest

from resnet_jax import models
from resnet_jax.models.dense import dense_logits
from tests import command

PRODUCTS = ('conv_general_dilated', 'dot_general')
WANTED = {
  'float32': jax.lax.Precision.HIGHEST,
  'tensorfloat32': jax.lax.Precision.HIGH,
}
NETWORKS = [
  ('cifar_resnet8', 8, {'remat': True, 'bn_group_size': 0}),
  ('resnet50', 32, {'bn_group_size': 0}),
  ('alexnet', 64, {'dropout': 0.0}),
  ('vgg16', 32, {'dropout': 0.0}),
  ('googlenet', 48, {'dropout': 0.0, 'auxiliary_dropout': 0.0}),
]


def precisions(jaxpr) -> list:
  """The precisions of the products of a program and of those that it calls."""
  found = []
  for equation in jaxpr.eqns:
    if equation.primitive.name in PRODUCTS:
      found.append(equation.params['precision'])
    for inner in jax.extend.core.jaxprs_in_params(equation.params):
      found += precisions(inner)
  return found


@pytest.mark.parametrize(
  ('name', 'size', 'overrides', 'precision'),
  [
    # float32 is what JAX is asked for in the same place; one net shows that.
    pytest.param(
      *network, precision, marks=[pytest.mark.slow] * (index and not tf32)
    )
    for index, network in enumerate(NETWORKS)
    for precision in (None, 'float32', 'tensorfloat32')
    for tf32 in [precision == 'tensorfloat32']
  ],
)
def test_every_product_and_every_gradient(name, size, overrides, precision):
  chosen = {'precision': precision} if precision else {}
  model = models.create(name, **overrides, **chosen)
  images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)

  def loss(params, rest, images):
    logits, updates = model.apply(
      rest | {'params': params},
      images,
      train=True,
      mutable=['batch_stats', 'auxiliary'],
    )
    heads = jax.tree.leaves(updates.get('auxiliary', {}))
    return sum(x.sum() for x in [logits, *heads])

  jaxpr = jax.make_jaxpr(jax.grad(loss))(variables['params'], variables, images)
  found = precisions(jaxpr.jaxpr)
  wanted = WANTED[precision or 'float32']
  kernels = [x for x in jax.tree.leaves(variables['params']) if x.ndim > 1]
  assert len(found) >= 3 * len(kernels) - 1  # no gradient of the images
  assert set(found) == {(wanted, wanted)}


def test_the_dense_test_and_callers_with_a_precision_of_their_own():
  model = models.create('cifar_resnet8', precision='tensorfloat32')
  images = jnp.zeros((1, 40, 40, 3))
  variables = jax.eval_shape(model.init, jax.random.key(0), images)

  def logits(variables):
    with jax.default_matmul_precision('bfloat16'):
      return dense_logits(
        model, variables, images, jnp.array([[40, 40]]), crop=32
      )

  found = precisions(jax.make_jaxpr(logits)(variables).jaxpr)
  assert len(found) == 8
  assert set(found) == {(WANTED['tensorfloat32'],) * 2}


def test_a_precision_that_is_none():
  with pytest.raises(ValueError, match='use float32 or tensorfloat32'):
    models.create('resnet18', precision='tf32')
  with pytest.raises(ValueError, match='use float32 or tensorfloat32'):
    models.create('vgg16', precision='highest')


def test_a_run_says_and_records_that_it_rounds(tmp_path, digits_npz):
  words = [
    *command.TINY,
    f'--config.dataset.npz={digits_npz}',
    f'--workdir={tmp_path}',
    '--config.duration=1',
  ]
  out = command.run_well(*words, '--config.model.precision=tensorfloat32')
  assert 'float32, products rounded to TF32 where the device can' in out
  environment = json.loads((tmp_path / 'environment.json').read_text())
  assert environment['precision'] == 'tensorfloat32'
  results = json.loads((tmp_path / 'results.json').read_text())
  assert results['environment']['precision'] == 'tensorfloat32'
