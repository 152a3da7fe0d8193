"""The messages between devices: as few as there must be, and complete."""

import json

import jax
import numpy as np
import pytest

from resnet_jax import collectives, models
from tests import command

ALL = '{0,1,2,3,4,5,6,7}'
# Bytes of the sums of losses and errors.
SUMS = 8


@pytest.mark.parametrize(
  ('group', 'of_bn'),
  # A device has 16 examples. BN groups of 64 pool their sums in the forward and
  # in the backward pass of each of 7 layers: two messages, or one of both.
  [(16, (0, 0)), pytest.param(64, (7, 28), marks=pytest.mark.slow)],
)
def test_a_step_on_eight_devices(group, of_bn):
  done = command.run_fork(
    'tests.collectives_run',
    [
      '--config=cifar_resnet20',
      '--config.model.name=cifar_resnet8',
      f'--config.model.bn_group_size={group}',
    ],
    devices=8,
  )
  assert done.returncode == 0, done.stderr
  report = json.loads(done.stdout.splitlines()[-1])
  found = report['collectives']
  # Gradients, running averages and the sums of the losses travel together.
  assert [f for f in found if f[0] == ALL] == [[ALL, report['bytes'] + SUMS, 1]]
  rest = [f for f in found if f[0] != ALL]
  assert {f[0] for f in rest} <= {'{0,1,2,3},{4,5,6,7}'}
  assert of_bn[0] <= len(rest) <= of_bn[1]


def test_messages_follow_the_backward_pass():
  model = models.create('resnet50')
  variables = jax.eval_shape(
    model.init,
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32),
  )
  # Memory that is not touched is not taken.
  arrays = [
    np.empty(x.shape, x.dtype) for x in jax.tree.leaves(variables['params'])
  ][::-1]
  messages = collectives.messages(arrays)
  sent = [x for message in messages for x in message]
  assert all(x is y for x, y in zip(sent, arrays, strict=True))
  sizes = [sum(x.nbytes for x in message) for message in messages]
  assert len(sizes) == 4 and sum(sizes) == 4 * 25_557_032
  assert max(sizes) <= collectives._MESSAGE
  # The first is of the last layers, and the last, for which nothing is left to
  # compute, is the smallest.
  assert messages[0][0].shape == (2048, 1000)
  assert min(sizes) == sizes[-1]


def test_types_do_not_mix_and_large_arrays_travel_alone():
  large = np.empty(collectives._MESSAGE, np.float32)
  small, wide = np.empty(3, np.float32), np.empty(3, np.float64)
  messages = collectives.messages([small, large, small, wide, small])
  assert [[x.size for x in m] for m in messages] == [
    [3],
    [large.size],
    [3],
    [3],
    [3],
  ]
