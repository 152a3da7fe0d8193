"""The configs of the baselines: their original recipes, and what is refused."""

import ast

import pytest

from resnet_jax import models, schedules
from resnet_jax.config import checks
from resnet_jax.config.file import load_config
from resnet_jax.config.plan import create_model, make_plan
from resnet_jax.errors import UserError
from resnet_jax.placement import AXIS
from tests import command
from tests.models.published import PUBLISHED, macs_of, params_of


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'model.shortcut': 'A'}, 'vgg16 has no shortcut'),
    ({'model.version': 'v1.5'}, 'vgg16 has no version'),
    ({'model.stem_pool': 'ceil'}, 'vgg16 has no stem_pool'),
    ({'model.zero_init_residual': True}, 'vgg16 has no zero_init_residual'),
    ({'model.remat': True}, 'vgg16 has no remat'),
    ({'finetune.frozen_stages': 2}, 'vgg16 has no frozen_stages'),
    ({'finetune.frozen_bn': True}, 'vgg16 has no frozen_bn'),
    ({'test.views': 'dense'}, "it can be 'single' or 'ten_crop'"),
    ({'model.name': 'alexnet', 'test.views': 'dense'}, 'not for alexnet'),
  ],
)
def test_a_config_is_refused_what_its_network_has_not(fields, words):
  config = load_config('configs/imagenet_vgg16.py')
  config.update_from_flattened_dict(fields)
  with pytest.raises(UserError, match=words):
    checks.check(config)


@pytest.mark.parametrize('name', models.baselines())
def test_a_config_is_its_original(name):
  path = command.ROOT / 'configs' / f'imagenet_{name}.py'
  config = load_config(str(path))
  checks.check(config)
  # Groups of BN are no concern of theirs, nor are parts of a batch.
  config.update({'batch_size': 250, 'run': {'microbatches': 5}})
  checks.check_devices(config, 2)
  plan = make_plan(config, 1_281_167)
  schedule = schedules.create(
    config.schedule, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch
  )
  # By 10 three times, but GoogLeNet by 4 % every 8 epochs.
  drops = 31 if name == 'googlenet' else 3
  assert (len(schedule.drops), schedule.learning_rate) == (drops, 0.01)
  decay = 2e-4 if name == 'googlenet' else 5e-4
  assert config.optimizer.weight_decay == decay
  assert config.bn_recompute_batches == 0
  model = create_model(config, num_classes=1000, axis_name=AXIS)
  assert model == models.create(name, dtype='float32')
  doc = ast.get_docstring(ast.parse(path.read_text()))
  assert f'python -m resnet_jax.main --config=configs/{path.name}' in doc
  layers, heads = PUBLISHED[name]
  assert f'{params_of(layers + heads):,} parameters' in doc
  assert f'{macs_of(layers) / 1e9:.3f} billion' in doc
