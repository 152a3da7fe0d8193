"""The update rule and the learning rate, against NumPy (Sec. 3.4, 4.2)."""

import ml_collections
import numpy as np
import optax
import pytest
from jax import numpy as jnp

from configs import common
from resnet_jax import optim, schedules
from resnet_jax.config import durations
from resnet_jax.errors import UserError

PARAMS = {
  'conv1': {'kernel': np.array([1.0, -2.0])},
  'bn1': {'scale': np.array([1.5]), 'bias': np.array([0.5])},
  'fc': {'kernel': np.array([3.0]), 'bias': np.array([-1.0])},
}
RATES = [0.1, 0.1, 0.01, 0.01, 0.5]


def descend(optimizer, gradients):
  """Parameters after one step for each of RATES."""
  params = {
    k: {n: jnp.asarray(x) for n, x in v.items()} for k, v in PARAMS.items()
  }
  state = optimizer.init(params)
  for rate, gradient in zip(RATES, gradients, strict=True):
    tree = {
      k: {n: gradient * jnp.ones_like(x) for n, x in v.items()}
      for k, v in params.items()
    }
    updates, state = optimizer.update(
      tree, state, params, learning_rate=jnp.float32(rate)
    )
    params = optax.apply_updates(params, updates)
  return params


@pytest.mark.parametrize('nesterov', [False, True])
def test_momentum_is_in_the_authors_order(nesterov):
  optimizer = optim.create(momentum=0.9, weight_decay=0.1, nesterov=nesterov)
  gradients = [1.0, -0.5, 2.0, 0.25, 0.0]
  params = descend(optimizer, gradients)
  for layer, leaves in PARAMS.items():
    for name, w in leaves.items():
      w, v = w.copy(), np.zeros_like(w)
      decay = 0.1 if name == 'kernel' else 0.0  # of conv and fc weights only
      for rate, gradient in zip(RATES, gradients, strict=True):
        step = rate * (gradient + decay * w)
        v = 0.9 * v + step
        w = w - (0.9 * v + step if nesterov else v)
      np.testing.assert_allclose(params[layer][name], w, rtol=1e-6)


def test_the_order_matters_when_the_rate_drops():
  # optax.sgd multiplies the rate on after the trace: another recipe.
  rates = jnp.asarray(RATES)
  usual = optax.sgd(lambda step: rates[step], momentum=0.9)
  w = jnp.ones(())
  state = usual.init(w)
  for _ in RATES:
    update, state = usual.update(jnp.ones(()), state, w)
    w = w + update
  ours = descend(optim.create(momentum=0.9, weight_decay=0.0), [1.0] * 5)
  moved = float(ours['bn1']['scale'][0]) - 1.5
  assert abs(moved - (float(w) - 1)) > 0.1


def make(steps=64_000, steps_per_epoch=390.625, **fields):
  config = common.get_config().schedule
  config.update(fields)
  return schedules.create(config, steps=steps, steps_per_epoch=steps_per_epoch)


def rates(schedule, steps):
  state = schedule.init()
  return [float(schedule.at(jnp.int32(step), state)) for step in steps]


def test_the_papers_rate_drops_at_32k_and_48k():
  steps = [0, 31_999, 32_000, 47_999, 48_000, 63_999]
  expected = [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
  np.testing.assert_allclose(rates(make(), steps), expected, rtol=1e-6)
  assert make().describe() == (
    'lr 0.1, x0.1 at 32,000 and 48,000 of 64,000 steps'
  )


def test_linear_warmup_reaches_the_cosine_where_it_begins():
  schedule = make(
    steps=100, name='cosine', warmup='linear', warmup_duration='10 steps'
  )
  got = rates(schedule, [0, 5, 10, 55, 99])
  half = 0.05 * (1 + np.cos(np.pi * 89 / 90))
  np.testing.assert_allclose(got, [0.01, 0.055, 0.1, 0.05, half], rtol=1e-4)


def test_warmup_by_error_ends_once_a_window_is_below_and_never_returns():
  schedule = make(warmup='error', warmup_window=3)
  state = schedule.init()
  seen = []
  # Wrong of 10: the single 5 is no window; 7, 8, 8 is, at 77 %.
  for step, wrong in enumerate([9, 5, 10, 7, 8, 8, 10, 10, 10]):
    seen.append(float(schedule.at(jnp.int32(step), state)))
    state = schedule.update(state, jnp.int32(step), *jnp.float32([wrong, 10]))
  np.testing.assert_allclose(seen, [0.01] * 6 + [0.1] * 3, rtol=1e-6)
  assert int(state.warmup_end) == 6


def test_the_rate_drops_where_the_validation_error_plateaus():
  schedule = make(
    name='plateau', plateau_window=2, plateau_threshold=0.1, drop_factor=0.5
  )
  state, seen = schedule.init(), []
  # 0.46 is not a tenth below 0.5, nor is 0.48: a drop. Then 0.40 is; 0.39 and
  # 0.38 are not: another.
  for error in [0.6, 0.5, 0.46, 0.48, 0.40, 0.39, 0.38, 0.37]:
    state = schedule.observe(state, error)
    seen.append(float(schedule.at(jnp.int32(7), state)))
  expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025]
  np.testing.assert_allclose(seen, expected, rtol=1e-6)
  assert make().observe(state, 0.9) is state  # no plateau, no drop


def test_frozen_parameters_stay_to_the_bit_also_under_weight_decay():
  optimizer = optim.create(
    momentum=0.9, weight_decay=0.1, frozen=lambda path: path[0] != 'fc'
  )
  params = descend(optimizer, [1.0, -0.5, 2.0, 0.25, 0.0])
  free = descend(
    optim.create(momentum=0.9, weight_decay=0.1), [1, -0.5, 2, 0.25, 0]
  )
  for layer in ('conv1', 'bn1'):
    for name, x in PARAMS[layer].items():
      np.testing.assert_array_equal(params[layer][name], np.float32(x))
  np.testing.assert_array_equal(params['fc']['kernel'], free['fc']['kernel'])


@pytest.mark.parametrize(
  ('text', 'steps'),
  [
    ('64000 steps', 64_000),
    ('1 step', 1),
    (300, 300),
    ('300', 300),
    ('2 epochs', 781),
    ('2.5 Epochs', 977),
    ('50%', 500),
    ('12.5 %', 125),
  ],
)
def test_durations_in_steps(text, steps):
  got = durations.to_steps(text, 'x', steps_per_epoch=390.625, total=1000)
  assert got == steps


@pytest.mark.parametrize(
  'text', ['', 'soon', '-3 steps', '5 hours', '1e3', None]
)
def test_durations_that_mean_nothing_are_refused(text):
  with pytest.raises(UserError, match=r'config\.duration is'):
    durations.to_steps(text, 'duration', steps_per_epoch=1.0)


def test_a_schedule_takes_its_fields_from_the_config():
  config = ml_collections.ConfigDict(common.get_config().schedule)
  config.drops = ('1 epoch', 700)
  config.drop_factor = 0.5
  schedule = schedules.create(config, steps=1000, steps_per_epoch=100.0)
  got = rates(schedule, [99, 100, 699, 700])
  np.testing.assert_allclose(got, [0.1, 0.05, 0.05, 0.025], rtol=1e-6)
