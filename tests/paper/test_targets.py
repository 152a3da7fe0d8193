"""Targets, the runs they are made of, and what narrows or shrinks them."""

import pytest

from resnet_jax.config.plan import create_model
from resnet_jax.paper import published, targets
from resnet_jax.paper.runs import Member, Scale, expand
from resnet_jax.paper.section import name_of, select
from tests import command

EVERY_RUN = [
  run
  for target in targets.TARGETS.values()
  for run in targets.in_order(target, Scale())
]


@pytest.mark.parametrize('run', EVERY_RUN, ids=lambda run: run.name)
def test_every_run_is_of_a_config_that_works(run):
  config = run.configuration()
  assert config.seed == run.seed
  create_model(config, num_classes=10)
  assert run.departures == ''


@pytest.mark.parametrize(
  ('target', 'numbers'),
  [
    ('table2', published.TABLE2),
    ('table3', published.TABLE3),
    ('table4', published.TABLE4),
    ('table6', published.TABLE6),
    ('fig4', published.FIGURE4),
  ],
)
def test_every_network_of_the_paper_has_runs(target, numbers):
  """The rows of others' methods are named otherwise than our networks."""
  selected = [
    select(command.ROOT / 'nowhere', member, Scale())
    for member in targets.find(target).members
  ]
  wanted = {name for name in numbers if name.startswith(('plain-', 'ResNet-'))}
  assert {name_of(one) for one in selected} == wanted


def test_the_paper_runs_110_layers_five_times():
  runs = [run for run in EVERY_RUN if run.name.startswith('cifar_resnet110')]
  assert {run.seed for run in runs} == {0, 1, 2, 3, 4}


def test_a_target_is_run_seed_by_seed():
  target = targets.find('degradation')
  runs = targets.in_order(target, Scale(depths=(20, 56), seeds=2))
  kinds = ['plain20', 'plain56', 'resnet20', 'resnet56']
  assert [run.name for run in runs] == [
    f'digits_{kind}-seed{seed}' for seed in (0, 1) for kind in kinds
  ]


def test_what_is_shrunk_says_so():
  member = Member('cifar_resnet20')
  (whole,) = expand(member, Scale(steps=64_000))
  assert (whole.name, whole.departures) == ('cifar_resnet20-seed0', '')
  first, second = expand(member, Scale(steps=500, seeds=2, dataset='digits'))
  assert first.name == 'cifar_resnet20-500steps-digits-seed0'
  assert first.departures == ('500 of 64,000 steps; digits in place of cifar10')
  assert first.configuration().dataset.name == 'digits'
  assert first.steps() == second.steps() == 500
  assert second.seed == 1


def test_digits_of_ones_own_are_not_those_of_scikit_learn(tmp_path):
  file = tmp_path / 'digits.npz'
  file.write_bytes(b'')
  (run,) = expand(Member('cifar_resnet20'), Scale(dataset=str(file)))
  assert run.config == 'cifar_resnet20'
  assert run.configuration().dataset.npz == str(file)
  (run,) = expand(Member('cifar_resnet20'), Scale(dataset='digits'))
  assert run.departures == '500 of 64,000 steps; digits in place of cifar10'
  (run,) = expand(
    Member('cifar_resnet20'), Scale(dataset='digits', steps=64_000)
  )
  assert run.steps() == 64_000


def test_a_scale_is_given_by_its_flags():
  scale = Scale('digits', seeds=2, depths=(20, 56))
  assert scale.flags() == ['--dataset=digits', '--seeds=2', '--depths=20,56']
