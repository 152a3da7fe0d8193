"""Recomputed BN statistics and smoothed labels are what NumPy finds."""

import jax
import numpy as np
import pytest

from resnet_jax import experiment, finish
from resnet_jax.config.file import load_config
from resnet_jax.data.order import examples_at
from resnet_jax.placement import replicate
from resnet_jax.step import cross_entropy

BATCH, GROUP, STEPS, COUNT = 16, 4, 20, 5


@pytest.fixture
def run(digits_npz, quick_compilation):
  config = load_config('digits_resnet20')
  config.update_from_flattened_dict(
    {
      'seed': 3,
      'dataset.npz': str(digits_npz),
      'model.name': 'cifar_resnet8',
      'model.bn_group_size': GROUP,
      'batch_size': BATCH,
      'duration': f'{STEPS} steps',
    }
  )
  return experiment.build(config)


def batches(run, digits_npz):
  """The batches that would follow the last step, without augmentation."""
  with np.load(digits_npz) as arrays:
    images = arrays['train_images'].astype(np.float64)
  for step in range(STEPS, STEPS + COUNT):
    positions = step * BATCH + np.arange(BATCH)
    ids, _ = examples_at(3, positions, len(images))
    batch = images[ids]
    yield (batch - run.normalization.mean) / run.normalization.std


def convolve(x, kernel):
  """A 3x3 convolution of stride 1, padded by one pixel."""
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  height, width = x.shape[1:3]
  return sum(
    padded[:, i : i + height, j : j + width] @ kernel[i, j]
    for i in range(3)
    for j in range(3)
  )


def test_recomputed_statistics_are_means_over_batches(run, digits_npz):
  state = run.initial_state()
  found = finish.recompute_batch_stats(run, replicate(state), COUNT)
  found = jax.device_get(found)
  # Of the first layer, whose input NumPy can compute.
  kernel = np.asarray(state.params['conv1']['kernel'], np.float64)
  means, variances = [], []
  for batch in batches(run, digits_npz):
    maps = convolve(batch, kernel).reshape(BATCH // GROUP, -1, kernel.shape[-1])
    means.append(maps.mean(1).mean(0))
    variances.append(maps.var(1).mean(0))  # of each group, about its own mean
  first = found['bn1']
  np.testing.assert_allclose(first['mean'], np.mean(means, 0), atol=1e-4)
  np.testing.assert_allclose(first['var'], np.mean(variances, 0), rtol=1e-4)
  # Of all layers, from the network itself, a batch at a time.
  model = run.model.clone(bn_momentum=0.0, axis_name=None)
  apply = jax.jit(
    lambda images: model.apply(
      {'params': state.params, 'batch_stats': state.batch_stats},
      images.astype(np.float32),
      train=True,
      mutable=['batch_stats'],
    )[1]['batch_stats']
  )
  each = [jax.device_get(apply(b)) for b in batches(run, digits_npz)]
  jax.tree.map(
    lambda x, *own: np.testing.assert_allclose(
      x, np.mean(own, 0), rtol=1e-3, atol=1e-4
    ),
    found,
    *each,
  )


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.6])
def test_smoothed_labels(smoothing):
  logits = np.random.default_rng(0).normal(size=(6, 5)) * 3
  labels = np.array([0, 4, 2, 2, 1, 3])
  targets = np.full((6, 5), smoothing / 5)
  targets[np.arange(6), labels] += 1 - smoothing
  log_sums = np.log(np.exp(logits).sum(1, keepdims=True))
  expected = -(targets * (logits - log_sums)).sum(1)
  found = cross_entropy(logits.astype(np.float32), labels, smoothing)
  np.testing.assert_allclose(found, expected, rtol=1e-5)
