"""A network comes from its checkpoint, and the caller's config stays."""

import pathlib

import jax
import numpy as np
import pytest

from configs import common
from resnet_jax import eval_only, models
from resnet_jax.errors import UserError
from resnet_jax.runs import restore
from resnet_jax.runs.checkpoint import Found
from resnet_jax.runs.leaves import flatten


@pytest.fixture(scope='module')
def found():
  """A checkpoint of a plain net, in memory; every array is zero."""
  model = models.create('cifar_plain8', num_classes=3)
  image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), image)
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), dict(shapes))
  state['normalization'] = {'mean': np.full(3, 7.0), 'std': np.full(3, 2.0)}
  meta = {
    'config': {'model': {'name': 'cifar_plain8', 'shortcut': None}},
    'num_classes': 3,
    'image_shape': [32, 32, 3],
  }
  return Found(5, pathlib.Path('series/5'), flatten({'state': state}), meta)


def test_the_network_is_that_of_the_checkpoint(found):
  config = common.get_config()
  config.model.dtype = 'bfloat16'
  before = config.to_json()
  restored = restore.restore(found, config)
  assert config.to_json() == before
  assert restored.model == models.create(
    'cifar_plain8',
    num_classes=3,
    dtype='bfloat16',
    bn_group_size=config.model.bn_group_size,
  )
  assert restored.variables()['normalization'].mean.tolist() == [7, 7, 7]
  assert restored.image_shape == (32, 32, 3)
  adopted = restore.with_network_of(config, found)
  assert config.to_json() == before
  assert adopted.model.name == 'cifar_plain8'
  assert adopted.model.dtype == 'bfloat16'


def test_weights_that_do_not_fit_are_refused(found):
  arrays = dict(found.arrays)
  del arrays['state/params/fc/bias']
  lacking = Found(found.step, found.path, arrays, found.meta)
  with pytest.raises(UserError, match='lacks params/fc/bias'):
    restore.restore(lacking)


def test_a_blank_class_name_is_no_traceback(found, caplog):
  found.meta['class_names'] = ['', 'b', 'c']
  restore.check_classes(found, ['', 'b', 'c'], '')
  assert not caplog.text
  restore.check_classes(found, ['a', 'b', 'c'], '')
  assert "class 0 is '' in series/5, and 'a' in the data" in caplog.text


@pytest.mark.parametrize(
  ('meta', 'asked', 'warned'),
  [
    (
      {},
      False,
      'with smoothing: evaluate it with --config.dataset.antialias=T',
    ),
    ({}, True, ''),
    ({'antialias': False}, True, 'without smoothing: '),
    ({'config': {'dataset': {'antialias': False}}}, False, ''),
    ({'config': {'dataset': {'antialias': False}}}, True, 'without smoothing'),
  ],
)
def test_pictures_scaled_otherwise_than_in_training(
  found, caplog, meta, asked, warned
):
  """Imports that do not say are torchvision's, which smooths."""
  one = Found(0, found.path, {}, {'config': {}} | meta)
  config = common.get_config()
  config.dataset.antialias = asked
  config.dataset.crop_size = 224
  eval_only._compare_scaling(one, config)
  assert warned in caplog.text
  assert bool(caplog.text) == bool(warned)
