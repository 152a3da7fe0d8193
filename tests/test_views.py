"""The paper's tests, against a computation of one image and crop at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models
from resnet_jax.data.normalization import Normalization
from resnet_jax.models.dense import dense_logits
from resnet_jax.scores import Scores, average, tally
from resnet_jax.views import Views, log_mean_exp, log_probabilities

pytestmark = pytest.mark.usefixtures('quick_compilation')

NETS = [
  pytest.param('resnet18', {}, marks=pytest.mark.slow),
  pytest.param(
    'resnet18',
    {'stem_pool': 'padded', 'shortcut': 'B'},
    marks=pytest.mark.long,
  ),
  ('cifar_resnet8', {'remat': True}),
]
# Odd and even, portrait and landscape; the smallest is a crop.
SIZES = np.array([[65, 65], [97, 130], [66, 99], [131, 65]])
CROP = 65
# For a CIFAR net, which halves its maps twice and not five times.
SMALL_SIZES = np.array([[17, 17], [25, 34], [18, 27], [35, 17]])
SMALL_CROP = 17


def network(name, **overrides):
  """A small net with random weights, whose BN is not the identity."""
  model = models.create(name, num_classes=7, dtype=jnp.float64, **overrides)
  shape = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, CROP, CROP, 3))
  )
  rng = np.random.default_rng(0)

  def draw(path, x):
    kind = path[-1].key
    if kind == 'kernel':
      fan_in = np.prod(x.shape[:-1])
      return rng.normal(0, (2 / fan_in) ** 0.5, x.shape)
    return rng.uniform(0.5, 1.5, x.shape) - (kind in ('bias', 'mean'))

  return model, jax.tree_util.tree_map_with_path(draw, shape)


@pytest.mark.parametrize(('name', 'overrides'), NETS)
def test_padded_images_score_as_each_alone(name, overrides):
  rng = np.random.default_rng(1)
  small = name.startswith('cifar_')
  sizes, crop = (SMALL_SIZES, SMALL_CROP) if small else (SIZES, CROP)
  with jax.enable_x64(True):
    model, variables = network(name, **overrides)
    # The padding must not matter, so it is not 0 here.
    padded = rng.normal(5, 1, (len(sizes), *sizes.max(0), 3))
    run = jax.jit(
      lambda x, sizes: dense_logits(model, variables, x, sizes, crop=crop)
    )
    logits, inside = run(padded, sizes)
    for i, (height, width) in enumerate(sizes):
      alone = padded[i : i + 1, :height, :width]
      expected = sliding(model, variables, alone, crop)
      rows, columns = expected.shape[:2]
      assert inside[i].sum() == rows * columns
      assert inside[i, :rows, :columns].all()
      np.testing.assert_allclose(
        logits[i, :rows, :columns], expected, rtol=1e-9, atol=1e-9
      )


def sliding(model, variables, image, crop):
  """Average pooling and fc by NumPy, over the maps of one whole image."""
  features = functools.partial(model.apply, method=model.features)
  stage = model.stage_names[-1]
  last = np.asarray(jax.jit(features)(variables, image)[stage])[0]
  maps = jax.eval_shape(features, variables, image[:, :crop, :crop])
  window = maps[stage].shape[1]
  rows, columns = (n - window + 1 for n in last.shape[:2])
  pooled = [
    [last[r : r + window, c : c + window].mean((0, 1)) for c in range(columns)]
    for r in range(rows)
  ]
  fc = variables['params']['fc']
  return np.array(pooled) @ fc['kernel'] + fc['bias']


def all_views(size):
  """Scores of random images by each kind of view, and their inputs."""
  model, variables = network('cifar_resnet8')
  mean = np.random.default_rng(2).uniform(100, 150, 3)
  norm = Normalization(jnp.asarray(mean), jnp.full(3, 60.0))
  variables = variables | {'normalization': norm}
  images = np.random.default_rng(3).integers(
    0, 256, (2, 5, size, size, 3), np.uint8
  )
  return model, variables, images


def probabilities(model, variables, image):
  """Probabilities of one uint8 image, by the plain module."""
  norm = variables['normalization']
  net = {k: variables[k] for k in ('params', 'batch_stats')}
  x = (image.astype(np.float64) - norm.mean) / norm.std
  return jax.nn.softmax(_apply(model)(net, x[None])[0])


@functools.cache
def _apply(model):
  return jax.jit(model.apply)


def scored(model, variables, images, views):
  sizes = np.full((len(images), 2), images.shape[2], np.int32)
  return np.exp(log_probabilities(model, variables, images, sizes, views))


def test_ten_crops_are_the_mean_of_ten_probabilities():
  with jax.enable_x64(True):
    model, variables, images = all_views(17)
    got = scored(model, variables, images, Views('ten_crop', (20,), 17))
    for crops, row in zip(images, got, strict=True):
      ten = [
        probabilities(model, variables, crop)
        for corner in crops
        for crop in (corner, corner[:, ::-1])
      ]
      np.testing.assert_allclose(row, np.mean(ten, 0), rtol=1e-5)


def test_dense_on_a_crop_is_the_centre_crop_and_its_mirror_image():
  with jax.enable_x64(True):
    model, variables, images = all_views(SMALL_CROP)
    one, side = images[:, :1], SMALL_CROP
    dense = scored(model, variables, one, Views('dense', (side,), side))
    single = Views('single', (side,), side)
    both = [
      scored(model, variables, x, single) for x in (one, one[:, :, :, ::-1])
    ]
    np.testing.assert_allclose(dense, np.mean(both, 0), rtol=1e-5)
    expected = [probabilities(model, variables, x[0]) for x in one]
    np.testing.assert_allclose(both[0], expected, rtol=1e-5)


def test_an_ensemble_averages_probabilities():
  rng = np.random.default_rng(0)
  members = rng.dirichlet(np.ones(4), (3, 6))
  labels = np.arange(6, dtype=np.int32) % 4
  logs = np.log(members).astype(np.float32)
  mean = average([Scores(one, labels) for one in logs])
  np.testing.assert_allclose(np.exp(mean.logs), members.mean(0), rtol=1e-5)


def test_counts_are_exact_also_where_scores_are_equal():
  rng = np.random.default_rng(0)
  # Few levels: many are equal, where the first class is to win.
  logs = -rng.integers(0, 4, (500, 12)).astype(np.float32)
  labels = rng.integers(0, 12, 500).astype(np.int32)
  labels[::50] = -1  # damaged, or another host's
  result = tally(Scores(logs, labels))
  order = np.argsort(-logs, 1, kind='stable')
  own = labels >= 0
  top1 = (order[:, 0] != labels)[own]
  top5 = ~(order[:, :5] == labels[:, None]).any(1)[own]
  assert (result.count, result.damaged) == (490, 10)
  assert int(result.wrong.sum()) == top1.sum()
  assert int(result.wrong_top5.sum()) == top5.sum()
  broken = tally(Scores(np.full_like(logs, np.nan), labels))
  assert int(broken.wrong.sum()) == int(broken.wrong_top5.sum()) == 490
  for label in range(12):
    assert result.wrong[label] == top1[labels[own] == label].sum()
  expected = -logs[own, labels[own]].mean()
  assert abs(result.loss - expected) < 1e-6


def test_the_mean_of_probabilities_loses_nothing_where_they_are_tiny():
  x = jnp.array([[-1000.0, -1000.0, 5.0]])
  inside = jnp.array([[True, True, False]])
  assert log_mean_exp(x, 1, inside) == -1000.0
