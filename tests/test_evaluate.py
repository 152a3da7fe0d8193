"""Evaluation counts each example once, for any batch and device count."""

import re

import numpy as np
import pytest

from tests import command

# 37 test examples, which none of these divides, nor do the devices.
CASES = [
  (1, 5),
  (4, 7),
  pytest.param(1, 36, marks=pytest.mark.slow),
  pytest.param(1, 1000, marks=pytest.mark.slow),
  pytest.param(4, 64, marks=pytest.mark.slow),
]


@pytest.fixture(scope='module')
def by_hand(finished_run, digits_npz):
  """Errors and loss from the plain module, one example at a time."""
  import jax

  from resnet_jax import models
  from resnet_jax.runs import checkpoint

  found = checkpoint.read_step(finished_run / 'checkpoints' / 'latest' / '30')
  tree = {}
  for name, x in found.arrays.items():
    *path, leaf = name.split('/')
    node = tree
    for part in path:
      node = node.setdefault(part, {})
    node[leaf] = x
  state = tree['state']
  model = models.create('cifar_resnet8', num_classes=10)
  with np.load(digits_npz) as data:
    images, labels = data['test_images'], data['test_labels']
    mean = data['train_images'].astype(np.float64).mean(0)
  apply = jax.jit(model.apply)
  weights = {k: state[k] for k in ('params', 'batch_stats')}
  logits = np.concatenate(
    [
      apply(weights, (image[None] - mean).astype(np.float32))
      for image in images
    ]
  ).astype(np.float64)
  losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(37), labels]
  ranks = (logits > logits[np.arange(37), labels][:, None]).sum(1)
  return (ranks >= 1).sum(), (ranks >= 5).sum(), losses.mean()


@pytest.mark.parametrize(('devices', 'batch_size'), CASES)
def test_exact_for_any_batch(
  finished_run, digits_npz, by_hand, devices, batch_size
):
  out = command.run_well(
    *command.TINY,
    '--mode=eval',
    f'--config.dataset.npz={digits_npz}',
    f'--config.run.eval_batch_size={batch_size}',
    f'--checkpoint={finished_run}/checkpoints/latest/30',
    devices=devices,
  )
  wrong, wrong_top5, loss = by_hand
  found = re.search(
    r'\((\d+) of (\d+)\), top-5 [\d.]+ % \((\d+)\), loss ([\d.]+)', out
  )
  assert list(map(int, found.groups()[:3])) == [wrong, 37, wrong_top5]
  assert abs(float(found[4]) - loss) < 2e-4
