"""Training of networks without BN: dropout, auxiliary heads, checkpoints."""

import re
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from configs import common
from resnet_jax import models, optim, schedules
from resnet_jax.data.normalization import Normalization
from resnet_jax.models.googlenet import AuxiliaryHead
from resnet_jax.placement import AXIS, replicate, shard
from resnet_jax.runs import checkpoint, finetune, restore
from resnet_jax.runs.leaves import flatten
from resnet_jax.state import TrainMetrics, create_state
from resnet_jax.step import _dropout_keys, make_train_step
from tests import command
from tests.data.streamed.pictures import write_folder
from tests.models.published import leaves

pytestmark = pytest.mark.usefixtures('quick_compilation')


def small_vgg(**fields):
  fields = {'dropout': 0.5} | fields
  return models.VGG((1, 1), 3, filters=(4, 6), hidden=8, **fields)


def test_dropout_is_of_training_and_of_its_key():
  model = small_vgg()
  images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
  variables = jax.jit(model.init)(jax.random.key(1), images)

  def logits(number, rate=0.5):
    return model.clone(dropout=rate).apply(
      variables,
      images,
      train=True,
      rngs={'dropout': jax.random.key(number)},
    )

  tested = model.apply(variables, images)
  np.testing.assert_array_equal(logits(0), logits(0))
  assert not np.array_equal(logits(0), logits(1))
  assert not np.array_equal(logits(0), tested)
  np.testing.assert_array_equal(logits(0, rate=0.0), tested)
  # The rest is scaled up, so that the mean of many is near the test's logits.
  many = jax.jit(jax.vmap(logits))(jnp.arange(99)).mean(0)
  assert jnp.linalg.norm(many - tested) < jnp.linalg.norm(logits(0) - tested)


def test_dropout_keys_are_of_step_and_place_and_not_of_devices():
  def keys(devices, step, seed=0):
    of_device = jax.vmap(
      lambda _: _dropout_keys(seed, jnp.int32(step), 8 // devices),
      axis_name=AXIS,
    )
    words = jax.random.key_data(of_device(jnp.arange(devices)))
    return np.asarray(words).reshape(8, -1)

  np.testing.assert_array_equal(keys(1, 3), keys(4, 3))
  assert len({tuple(k) for k in np.concatenate([keys(1, 3), keys(1, 4)])}) == 16
  assert not np.array_equal(keys(1, 3), keys(1, 3, seed=1))


class Headed(nn.Module):
  """The least network with one of GoogLeNet's heads."""

  dropout: float = 0.7

  @property
  def uses_dropout(self):
    return self.dropout > 0

  @nn.compact
  def __call__(self, images, train=False):
    x = nn.relu(nn.Conv(4, (3, 3), name='conv1')(images))
    head = AuxiliaryHead(3, self.dropout, name='auxiliary1')
    if train or self.is_initializing():
      logits = head(x, train)
      if not self.is_initializing():
        self.sow('auxiliary', 'logits', logits)
    return nn.Dense(3, name='fc')(x.mean((1, 2)))


def batch_of(examples, size):
  """Images and labels of 3 classes."""
  images = np.random.default_rng(0).normal(size=(examples, size, size, 3))
  return images.astype(np.float32), np.arange(examples, dtype=np.int32) % 3


def trained(model, *, size=8, firsts=(0,), parts=1):
  """Parameters before a step and after it, by step number, and the metrics."""
  schedule = schedules.create(
    common.get_config().schedule, steps=100, steps_per_epoch=10.0
  )
  optimizer = optim.create(momentum=0.9, weight_decay=0.0)
  state = create_state(
    model,
    optimizer,
    schedule,
    seed=0,
    image_shape=(size, size, 3),
    normalization=Normalization.by(np.zeros(3)),
  )
  step = make_train_step(
    model,
    optimizer,
    schedule,
    lambda step, common, share, normalization: share,
    microbatches=parts,
  )
  # A step consumes what it is given.
  state = jax.tree.map(np.array, state)
  batch, afters = shard(batch_of(4, size)), []
  for first in firsts:
    start = state.replace(step=np.int32(first))
    start, metrics = replicate((start, TrainMetrics.empty()))
    end, metrics = step(start, metrics, (), batch)
    assert end.batch_stats == {}
    afters.append(leaves(jax.device_get(end.params)))
  return leaves(state.params), afters, jax.device_get(metrics).compute()


def test_a_step_draws_anew_and_parts_draw_as_the_whole():
  model = small_vgg()
  _, (once, again, later), _ = trained(model, firsts=(0, 0, 1))
  _, (in_parts,), _ = trained(model, parts=2)
  for path, x in once.items():
    np.testing.assert_array_equal(again[path], x)
    np.testing.assert_allclose(in_parts[path], x, rtol=1e-4, atol=1e-6)
  assert not np.array_equal(later['fc/kernel'], once['fc/kernel'])


def test_auxiliary_losses_weigh_three_tenths():
  model = Headed(dropout=0.0)
  before, (after,), values = trained(model)
  images, labels = batch_of(4, 8)

  def objective(params):
    logits, sown = model.apply(
      {'params': params}, images, train=True, mutable=['auxiliary']
    )
    (extra,) = jax.tree.leaves(sown)
    own, extra = (
      -jax.nn.log_softmax(x)[jnp.arange(4), labels].mean()
      for x in (logits, extra)
    )
    return own + 0.3 * extra, own  # Szegedy et al. 2014, Sec. 5

  params = traverse_util.unflatten_dict(before, sep='/')
  gradients, own = jax.jit(jax.grad(objective, has_aux=True))(params)
  for path, gradient in leaves(gradients).items():
    assert np.any(gradient), path
    np.testing.assert_allclose(
      after[path], before[path] - 0.1 * gradient, rtol=1e-4, atol=1e-6
    )
  # The recorded loss is that of the network's own head, as in tests.
  np.testing.assert_allclose(values['loss'], own, rtol=1e-5)


@pytest.mark.long
def test_a_step_of_googlenet_trains_all_of_it():
  model = models.create('googlenet', num_classes=3)
  before, (after,), _ = trained(model, size=64)
  assert {path.split('/')[0] for path in before} >= {'auxiliary1', 'auxiliary2'}
  for path, x in before.items():
    assert not np.array_equal(after[path], x), path


def test_a_checkpoint_without_bn_is_whole_and_gets_new_heads(tmp_path):
  model = small_vgg()
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
  state = variables | {
    'normalization': {'mean': np.zeros(3), 'std': np.ones(3)}
  }
  found = checkpoint.Found(
    3, tmp_path, flatten({'state': state}), {'class_names': ['a']}
  )
  read = restore.read_net(found, jax.eval_shape(lambda: variables))
  assert read['batch_stats'] == {}
  assert leaves(read['params']).keys() == leaves(variables['params']).keys()

  headed = Headed()
  fresh = create_state(
    headed,
    optim.create(momentum=0.9, weight_decay=0.0),
    schedules.create(
      common.get_config().schedule, steps=9, steps_per_epoch=3.0
    ),
    seed=1,
    image_shape=(8, 8, 3),
    normalization=Normalization.by(np.zeros(3)),
  )
  old = jax.tree.map(jnp.zeros_like, fresh.params)
  found = checkpoint.Found(
    3,
    tmp_path,
    flatten({'state': state | {'params': old}}),
    {'class_names': ['a']},
  )
  config = common.get_config()
  started = leaves(finetune.start(config, found, fresh, ['b', 'c']).params)
  new = {path for path, x in started.items() if np.any(x)}
  assert new == {'fc/kernel', 'auxiliary1/fc/kernel'}


@pytest.mark.long
def test_googlenet_through_the_command_to_its_ends(tmp_path):
  pytest.importorskip('tensorflow')
  folder = write_folder(tmp_path / 'pictures', train=6, val=3)
  words = (
    '--config=configs/imagenet_googlenet.py',
    f'--config.dataset.folder={folder}',
    '--config.dataset.crop_size=64',
    '--config.test.shorter_side=68',
    '--config.test.dense_shorter_sides=(64,)',
    '--config.batch_size=4',
    '--config.duration=4',
    '--config.schedule.drops=(2,)',
    '--config.dataset.mean=imagenet',
    '--config.bn_recompute_batches=3',
    '--config.run.tensorboard=False',
    '--config.run.eval_every=4',
    '--config.run.eval_batch_size=6',
    '--config.run.checkpoint_every=2',
  )
  uncut = tmp_path / 'uncut'
  out = command.run_well(*words, f'--workdir={uncut}')
  assert re.search(r'googlenet: [\d,]+ parameters', out)
  assert 'no BN' in out
  # A run that was cut behind step 2 leaves this.
  cut = tmp_path / 'cut'
  shutil.copytree(uncut, cut)
  shutil.rmtree(cut / 'checkpoints' / 'latest' / '4')
  assert 'resumed at step 2 of 4' in command.run_well(
    *words, f'--workdir={cut}'
  )
  ours, theirs = (
    checkpoint.read_step(w / 'checkpoints' / 'latest' / '4').arrays
    for w in (cut, uncut)
  )
  assert ours.keys() == theirs.keys()
  for name, x in theirs.items():
    np.testing.assert_array_equal(ours[name], x, err_msg=name)
  for views in ('ten_crop', 'dense'):
    out = command.run_well(
      *words,
      '--mode=eval',
      f'--workdir={uncut}',
      f'--config.test.views={views}',
    )
    assert 'of 6)' in out
