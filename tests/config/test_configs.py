"""Each config file is the row of the paper that its docstring says it is."""

import ast
import itertools
import pathlib
import re

import jax
import numpy as np
import pytest

from resnet_jax import models, schedules
from resnet_jax.config import checks
from resnet_jax.config.file import load_config
from resnet_jax.config.plan import create_model, make_plan
from tests import command

# The configs of the baselines are in test_baseline_configs.py.
CONFIGS = [
  path
  for path in sorted((command.ROOT / 'configs').glob('*_*.py'))
  if path.stem.removeprefix('imagenet_') not in models.baselines()
]


def test_every_network_of_the_paper_has_a_config():
  names = {path.stem for path in CONFIGS}
  for name in models.available():
    assert (name if name.startswith('cifar') else f'imagenet_{name}') in names
  for depth in (18, 34):
    assert {f'imagenet_resnet{depth}_{s}' for s in 'bc'} <= names
  for depth in (18, 34, 50, 101, 152):
    assert f'imagenet_resnet{depth}_modern' in names


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_docstring_is_true(path):
  config = load_config(str(path))
  doc = ast.get_docstring(ast.parse(path.read_text()))
  if 'folder' in path.stem:  # which is the user's to say
    config.dataset.folder = 'pictures'
  checks.check(config)
  make_plan(config, 1_281_167 if config.dataset.crop_size else 50_000)
  if path.stem == 'imagenet_modern' or 'folder' in path.stem:
    assert "NOT the paper's" in doc
    return
  assert f'python -m resnet_jax.main --config=configs/{path.name}' in doc
  family, kind, depth, variant = re.fullmatch(
    r'(cifar|digits|imagenet)_(resnet|plain)(\d+)(_[bc]|_modern)?', path.stem
  ).groups()
  prefix = '' if family == 'imagenet' else 'cifar_'
  assert config.model.name == f'{prefix}{kind}{depth}'
  assert f'{kind.capitalize()}-{depth}'.lower() in doc.lower()
  if variant in ('_b', '_c'):
    assert config.model.shortcut == variant[1].upper()
    assert f'shortcut {variant[1].upper()}' in doc
  if variant == '_modern':
    assert "NOT the paper's" in doc
  if family == 'imagenet':
    model = create_model(config, num_classes=1000)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    assert f'{models.count_params(variables):,} parameters' in doc
    macs = models.count_macs(model, (224, 224, 3)) / 1e9
    assert f'{macs:.3f} billion multiply-adds' in doc


PAPERS = [
  path.stem
  for path in CONFIGS
  if path.stem.startswith('imagenet') and 'modern' not in path.stem
]


@pytest.mark.parametrize('name', PAPERS)
def test_imagenet_configs_are_section_3_4(name):
  config = load_config(str(command.ROOT / 'configs' / f'{name}.py'))
  plan = make_plan(config, 1_281_167)
  schedule = schedules.create(
    config.schedule, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch
  )
  assert (plan.steps, config.batch_size) == (600_000, 256)
  assert schedule.drops == (150_000, 300_000)
  assert (schedule.learning_rate, schedule.warmup) == (0.1, 'none')
  optimizer = config.optimizer
  assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 1e-4)
  assert not optimizer.nesterov
  assert config.model.bn_group_size == 32
  assert not config.model.zero_init_residual
  assert config.label_smoothing == 0
  assert config.dataset.mean == 'pixel'
  augment = config.augment
  assert (augment.crop, tuple(augment.shorter_side), augment.flip) == (
    'shorter_side',
    (256, 480),
    True,
  )
  assert augment.pca_std == 0.1
  model = create_model(config, num_classes=1000)
  assert (model.stem_pool, model.version) == ('ceil', 'v1')


@pytest.mark.parametrize('depth', [20, 32, 44, 56, 110, 1202])
def test_cifar_configs_are_section_4_2(depth):
  path = pathlib.Path(command.ROOT, 'configs', f'cifar_resnet{depth}.py')
  config = load_config(str(path))
  plan = make_plan(config, 50_000)
  assert (plan.steps, config.batch_size) == (64_000, 128)
  assert config.model.bn_group_size == 64
  assert (config.optimizer.momentum, config.optimizer.weight_decay) == (
    0.9,
    1e-4,
  )
  assert not config.optimizer.nesterov
  assert (config.augment.pad, config.augment.flip) == (4, True)
  assert config.label_smoothing == 0
  # Sec. 4.2: 0.01 until the training error is below 80 %, for 110 layers.
  warmup = 'error' if depth >= 110 else 'none'
  schedule = config.schedule
  assert (schedule.warmup, schedule.learning_rate) == (warmup, 0.1)
  assert (schedule.warmup_learning_rate, schedule.warmup_error) == (0.01, 0.8)


def test_every_field_is_declared_with_a_comment():
  lines = (command.ROOT / 'configs' / 'common.py').read_text().splitlines()
  for above, line in itertools.pairwise(lines):
    if re.match(r'  (config|[a-z]+)\.\w+ = (?!\w+ = )', line):
      # A field stands below its comment, or below a field that shares it.
      shares = re.match(r'  \w+\.\w+ = ', above)
      assert above.strip().startswith('#') or shares, line
