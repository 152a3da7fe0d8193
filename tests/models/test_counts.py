"""Parameters and multiply-adds of every network (Table 1, Table 6)."""

import pytest

from resnet_jax import models
from resnet_jax.models import complexity

# Parameters are exact; multiply-adds in the digits given, in 1e9 for ImageNet
# and in 1e6 for CIFAR. Only v1 gives the 3.8, 7.6 and 11.3 of Table 1.
IMAGENET = [
  ('plain18', {}, 11_515_688, '1.795'),
  ('resnet18', {}, 11_515_688, '1.795'),
  ('resnet18', {'shortcut': 'B'}, 11_689_512, '1.814'),
  ('resnet18', {'shortcut': 'C'}, 12_043_816, '1.878'),
  ('plain34', {}, 21_623_848, '3.644'),
  ('resnet34', {}, 21_623_848, '3.644'),
  ('resnet34', {'shortcut': 'B'}, 21_797_672, '3.664'),
  ('resnet34', {'shortcut': 'C'}, 22_716_840, '3.831'),
  ('resnet50', {}, 25_557_032, '3.858'),
  ('resnet50', {'version': 'v1.5'}, 25_557_032, '4.089'),
  ('resnet101', {}, 44_549_160, '7.570'),
  ('resnet101', {'version': 'v1.5'}, 44_549_160, '7.801'),
  ('resnet152', {}, 60_192_808, '11.282'),
  ('resnet152', {'version': 'v1.5'}, 60_192_808, '11.514'),
]
CIFAR = [
  (20, 269_722, '40.55'),
  (32, 464_154, '68.86'),
  (44, 658_586, '97.17'),
  (56, 853_018, '125.49'),
  (110, 1_727_962, '252.89'),
]


# Traced in the slow tests: deep twins of networks that are traced in others.
TWINS = {
  ('plain34', None),
  ('resnet101', 'v1.5'),
  ('resnet152', 'v1.5'),
  *(('plain', depth) for depth in (32, 44, 56, 110)),
}


def counts(name, **overrides):
  model = models.create(name, **overrides)
  shape = models.input_shape(name)
  variables = complexity.abstract_variables(model, shape)
  layers = complexity.layers(model, shape, variables=variables)
  return models.count_params(variables), sum(layer.macs for layer in layers)


def marked(rows, key):
  """The rows, of which those whose key is in `TWINS` are slow."""
  return [
    pytest.param(*row, marks=[pytest.mark.slow] * (key(row) in TWINS))
    for row in rows
  ]


@pytest.mark.parametrize(
  ('name', 'overrides', 'params', 'gmacs'),
  marked(IMAGENET, lambda row: (row[0], row[1].get('version'))),
)
def test_imagenet_networks(name, overrides, params, gmacs):
  found, macs = counts(name, **overrides)
  assert (found, f'{macs / 1e9:.3f}') == (params, gmacs)


@pytest.mark.parametrize(
  ('kind', 'depth', 'params', 'mmacs'),
  marked(
    [(kind, *row) for kind in ('resnet', 'plain') for row in CIFAR],
    lambda row: row[:2],
  ),
)
def test_cifar_networks(kind, depth, params, mmacs):
  found, macs = counts(f'cifar_{kind}{depth}')
  assert (found, f'{macs / 1e6:.2f}') == (params, mmacs)


@pytest.mark.long
def test_cifar_1202():
  found, macs = counts('cifar_resnet1202')
  assert (found, f'{macs / 1e6:.1f}') == (19_421_274, '2829.2')


def test_one_call_counts_multiply_adds():
  macs = models.count_macs(models.create('cifar_resnet20'), (32, 32, 3))
  assert f'{macs / 1e6:.2f}' == '40.55'


def test_counts_see_through_nested_programs():
  assert counts('cifar_resnet20', remat=True) == counts('cifar_resnet20')


def test_the_table_above_covers_all_networks():
  cifar = {
    f'cifar_{kind}{d}' for kind in ('resnet', 'plain') for d, *_ in CIFAR
  }
  named = {name for name, *_ in IMAGENET} | cifar | {'cifar_resnet1202'}
  assert named == set(models.available())
