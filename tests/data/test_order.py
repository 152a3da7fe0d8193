"""The order of examples, by its laws."""

import numpy as np

from resnet_jax.data.order import OrderFeed, epoch_order


def test_every_example_comes_once_an_epoch_and_epochs_differ():
  epochs = [epoch_order(0, epoch, 100) for epoch in range(5)]
  for order in epochs:
    np.testing.assert_array_equal(np.sort(order), np.arange(100))
  assert len({tuple(order) for order in epochs}) == 5
  assert not np.array_equal(epochs[0], epoch_order(1, 0, 100))


def feed(batch_size):
  return OrderFeed(seed=3, examples=50, batch_size=batch_size, put=lambda x: x)


def test_the_batch_of_a_step_does_not_depend_on_the_steps_before():
  running = feed(16)
  for step in range(8):
    order = running.at(step)
  np.testing.assert_array_equal(order.indices, feed(16).at(7).indices)
