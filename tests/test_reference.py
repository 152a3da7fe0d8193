"""Whole networks and single blocks against PyTorch on a CPU, in float64.

Forward passes and all gradients agree to 1e-9 relative.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models

torch = pytest.importorskip('torch')
from tests import torch_reference  # noqa: E402 - imports torch

TOLERANCE = 1e-9

slow = pytest.mark.slow

CASES = [
  ('cifar_resnet8', {}, (16, 16), False),
  ('cifar_resnet8', {}, (16, 16), True),
  ('cifar_resnet8', {'shortcut': 'B'}, (15, 13), True),
  ('cifar_resnet8', {'shortcut': 'C'}, (16, 16), True),
  ('cifar_plain8', {}, (15, 16), True),
  ('resnet18', {'shortcut': 'C'}, (65, 71), True),
  ('resnet50', {}, (64, 64), True),
  ('resnet50', {'version': 'v1.5'}, (65, 71), False),
  pytest.param('cifar_resnet20', {}, (32, 32), True, marks=slow),
  pytest.param('resnet18', {}, (64, 64), True, marks=slow),
  pytest.param('resnet50', {'version': 'v1.5'}, (64, 64), True, marks=slow),
  pytest.param('resnet50', {'shortcut': 'A'}, (33, 47), True, marks=slow),
]


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def random_like(tree, rng):
  """BN away from its trivial start, kernels at their own scale."""

  def leaf(path, x):
    name = path[-1].key
    if name in ('scale', 'var'):
      return rng.uniform(0.5, 1.5, x.shape)
    if name in ('bias', 'mean'):
      return rng.normal(0, 0.3, x.shape)
    return rng.normal(0, np.sqrt(2 / np.prod(x.shape[:-1])), x.shape)

  return jax.tree_util.tree_map_with_path(leaf, tree)


def distance(ours, theirs):
  return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


@pytest.mark.parametrize(('name', 'overrides', 'size', 'train'), CASES)
def test_logits_and_gradients(name, overrides, size, train):
  rng = np.random.default_rng(0)
  model = models.create(
    name, num_classes=7, dtype=jnp.float64, bn_group_size=0, **overrides
  )
  images = rng.normal(size=(4, *size, 3))
  labels = np.arange(4)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  variables = random_like(shapes, rng)

  def loss_fn(params):
    logits, _ = model.apply(
      variables | {'params': params},
      images,
      train=train,
      mutable=['batch_stats'],
    )
    return -jax.nn.log_softmax(logits)[labels, labels].mean(), logits

  (_, logits), gradients = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))(
    variables['params']
  )
  reference = torch_reference.Reference(
    variables,
    stem='cifar' if 'cifar' in name else 'imagenet',
    version=overrides.get('version', 'v1'),
    shortcut=model.shortcut,
  )
  theirs = reference(images, train)
  torch.nn.functional.cross_entropy(theirs, torch.tensor(labels)).backward()

  assert distance(logits, theirs.detach().numpy()) < TOLERANCE
  ours = dict(torch_reference.flatten(gradients))
  assert ours.keys() == reference.params.keys()
  # All as one vector: some gradients are 0 but for rounding, as that of a
  # scale whose ReLU is never open.
  both = [
    np.concatenate([np.ravel(g) for g in side])
    for side in (
      [ours[path] for path in sorted(ours)],
      [reference.params[path].grad.numpy() for path in sorted(ours)],
    )
  ]
  assert distance(*both) < TOLERANCE
