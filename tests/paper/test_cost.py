"""The cost of runs: arithmetic that is counted, and speed that is measured."""

import re

import pytest

from resnet_jax import models
from resnet_jax.paper import cost, targets
from resnet_jax.paper.runs import Member, Scale, expand

pytestmark = pytest.mark.usefixtures('quick_compilation')


def small(depth, seeds=1):
  overrides = (('model.name', f'cifar_resnet{depth}'), ('batch_size', 64))
  return Member('digits', seeds, overrides)


def test_the_arithmetic_of_a_run():
  (run,) = expand(Member('cifar_resnet20'), Scale(steps=10))
  macs = models.count_macs(models.create('cifar_resnet20'), (32, 32, 3))
  assert cost.forward_macs(run) == macs
  assert cost.training_macs(run) == 3 * macs * 128 * 10


@pytest.mark.long
def test_very_deep_nets_are_counted_by_their_blocks():
  (run,) = expand(small(116), Scale(steps=1))
  model = models.create('cifar_resnet116')
  assert cost.forward_macs(run) == models.count_macs(model, (8, 8, 1))


def test_a_plan_says_what_is_done_and_how_long_the_rest_takes(
  monkeypatch,
):
  monkeypatch.setattr(cost, '_SECONDS', 0.01)
  target = targets.Target('degradation', 'small', (small(8, 2), small(14, 2)))
  runs = targets.in_order(target, Scale(steps=10_000))
  words = cost.describe(target, runs, runs[:1], 2)
  lines = words.splitlines()
  assert [re.split('  +', line)[0] for line in lines[1:5]] == [
    run.name for run in runs
  ]
  assert lines[1].split('[')[0].rstrip().endswith('done')
  assert all(re.search(r'\d (min|h)  \[10,000', line) for line in lines[2:5])
  assert ', 2 at a time, estimated from' in words
  assert 'training steps of cifar_resnet8' in words
