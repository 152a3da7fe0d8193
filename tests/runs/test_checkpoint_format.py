"""What version 0.1 wrote, every later one opens.

The checkpoint is written here by Orbax alone, as 0.1 laid it out: names, types
and shapes are those of a run of ResNet-8 on the digits. A change of any of them
breaks what users have saved; see the promise in CHANGELOG.md.
"""

import hashlib
import json
import pathlib

import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import traverse_util

from configs import common
from resnet_jax import models
from resnet_jax.config.file import fields
from resnet_jax.runs import checkpoint, restore
from tests import command

LAYOUT = pathlib.Path(__file__).with_name('checkpoint-0.1.json')
STEP = 25


@pytest.fixture(scope='module')
def tree() -> dict[str, np.ndarray]:
  """The leaves of a state and of its metrics, by name."""
  layout = json.loads(LAYOUT.read_text())
  rng = np.random.default_rng(0)
  scalars = {
    name: np.asarray(value, dtype)
    for name, (dtype, value) in layout['scalars'].items()
  }
  arrays = {
    name: rng.normal(0, 0.1, shape).astype(np.float32)
    for name, shape in layout['arrays'].items()
  }
  for name, x in arrays.items():
    if name.endswith(('/var', '/std')):  # both divide
      arrays[name] = 100 + x
  return scalars | arrays


@pytest.fixture
def workdir(tmp_path, tree) -> pathlib.Path:
  """The folder of a run of 0.1 that was cut at step 25 of 30."""
  hashes = {name: hash_of(x) for name, x in tree.items()}
  args = ocp.args.Composite(
    state=ocp.args.StandardSave(traverse_util.unflatten_dict(tree, sep='/')),
    meta=ocp.args.JsonSave(
      json.loads(LAYOUT.read_text())['meta'] | {'hashes': hashes}
    ),
  )
  folder = tmp_path / 'run' / 'checkpoints' / 'latest'
  with ocp.CheckpointManager(folder) as manager:
    manager.save(STEP, args=args)
  return tmp_path / 'run'


def hash_of(x: np.ndarray) -> str:
  """The hash of a leaf as 0.1 took it: type and shape, then the bytes."""
  content = f'{x.dtype}{x.shape}'.encode() + x.tobytes()
  return hashlib.blake2b(content, digest_size=16).hexdigest()


def words(digits_npz, workdir):
  """The command that 0.1 was given."""
  return (
    *command.TINY,
    f'--config.dataset.npz={digits_npz}',
    '--config.dataset.validation_examples=30',
    f'--workdir={workdir}',
  )


def test_a_run_of_0_1_goes_on(workdir, digits_npz):
  out = command.run_well(*words(digits_npz, workdir))
  assert f'resumed at step {STEP} of 30' in out
  results = json.loads((workdir / 'results.json').read_text())
  assert results['step'] == 30


def test_a_checkpoint_of_0_1_is_the_network_that_it_was(
  workdir, tree, digits_npz, tmp_path
):
  path = workdir / 'checkpoints' / 'latest' / str(STEP)
  command.run_well(
    *words(digits_npz, workdir),
    '--mode=eval',
    f'--checkpoint={path}',
    f'--results={tmp_path}/results.json',
  )
  results = json.loads((tmp_path / 'results.json').read_text())['results']
  assert results[str(path)]['test']['loss'] == pytest.approx(
    loss(traverse_util.unflatten_dict(tree, sep='/')['state'], digits_npz)
  )


def test_a_config_of_0_1_has_the_fields_that_came_later(workdir):
  path = workdir / 'checkpoints' / 'latest' / str(STEP)
  config = restore.read_config(checkpoint.read_step(path))
  known = fields(common.get_config().to_dict())
  assert fields(config.to_dict()).keys() == known.keys()
  assert config.model.precision == 'float32'


def loss(state: dict, digits_npz: pathlib.Path) -> float:
  """The mean cross-entropy of `state` on the test images, in nats."""
  data = np.load(digits_npz)
  normalization = state['normalization']
  images = data['test_images'] - normalization['mean']
  model = models.create('cifar_resnet8', num_classes=10)
  logits = model.apply(
    {'params': state['params'], 'batch_stats': state['batch_stats']},
    images / normalization['std'],
    train=False,
  )
  return optax.softmax_cross_entropy_with_integer_labels(
    logits, data['test_labels']
  ).mean()
