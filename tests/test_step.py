"""One step of training: in parts or whole, and with parts of the net frozen."""

import jax
import numpy as np
import pytest

from resnet_jax import experiment, finish, train
from resnet_jax.config import checks
from resnet_jax.config.file import load_config
from resnet_jax.errors import UserError
from resnet_jax.placement import replicate
from resnet_jax.runs import checkpoint, lock
from resnet_jax.runs.leaves import flatten
from resnet_jax.state import TrainMetrics

pytestmark = pytest.mark.usefixtures('quick_compilation')


def after(digits_npz, steps=2, **fields):
  """The state after some steps, by name."""
  config = load_config('configs/digits_resnet20.py')
  config.update_from_flattened_dict(
    {
      'dataset.npz': str(digits_npz),
      'model.name': 'cifar_resnet8',
      'model.bn_group_size': 4,
      'batch_size': 16,
      'duration': '20 steps',
    }
    | fields
  )
  checks.check(config)
  run = experiment.build(config)
  state, metrics = replicate((run.initial_state(), TrainMetrics.empty()))
  step = train.build_step(run)
  for k in range(steps):
    state, metrics = step(state, metrics, *run.feed.at(k))
  return flatten(jax.device_get({'state': state, 'metrics': metrics}))


@pytest.mark.parametrize('parts', [2, 4])
def test_parts_give_the_step_of_the_whole(digits_npz, parts):
  whole = after(digits_npz)
  split = after(digits_npz, **{'run.microbatches': parts})
  assert whole.keys() == split.keys()
  for name, x in whole.items():
    scale = max(np.abs(x).max(), 1e-3)
    np.testing.assert_allclose(
      split[name] / scale, x / scale, atol=2e-4, err_msg=name
    )


def test_frozen_bn_and_stages_stay(digits_npz):
  before = after(digits_npz, steps=0)
  frozen = after(
    digits_npz, **{'finetune.frozen_bn': True, 'finetune.frozen_stages': 1}
  )
  for name, x in before.items():
    if name.startswith(('state/params', 'state/batch_stats')):
      norm = '/bn' in name
      same = np.array_equal(x, frozen[name])
      assert same == (norm or name.startswith('state/params/conv1/')), name


def test_frozen_bn_has_no_groups(digits_npz):
  """Groups of 7 fit neither a batch of 16 nor a part of it."""
  parts = {'model.bn_group_size': 7, 'run.microbatches': 2}
  frozen = {'finetune.frozen_bn': True}
  state = after(digits_npz, steps=1, **parts, **frozen)
  assert state['state/step'] == 1
  with pytest.raises(UserError, match='BN groups of 7'):
    after(digits_npz, **parts)


@pytest.mark.parametrize(
  ('frozen', 'forms'), [(True, ['running']), (False, ['running', 'recomputed'])]
)
def test_frozen_bn_is_not_recomputed(
  digits_npz, tmp_path, monkeypatch, frozen, forms
):
  monkeypatch.setattr(finish, '_evaluate', lambda *_: {})
  monkeypatch.setattr(
    finish, 'recompute_batch_stats', lambda _, state, count: state.batch_stats
  )
  config = load_config('configs/digits_resnet20.py')
  config.dataset.npz = str(digits_npz)
  config.model.name = 'cifar_resnet8'
  config.bn_recompute_batches = 2
  config.finetune.frozen_bn = frozen
  run = experiment.build(config)
  best = checkpoint.Series(tmp_path / 'best', keep=1)
  with lock.hold(tmp_path) as held:
    state = replicate(run.initial_state())
    results = finish.evaluate_final(run, state, held=held, best=best)
  assert list(results) == forms
