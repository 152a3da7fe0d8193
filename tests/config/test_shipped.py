"""Configs are found by name and path, and import ours and no other."""

import sys

import pytest

from resnet_jax.config import shipped
from resnet_jax.config.file import check_overrides, load_config, set_none
from resnet_jax.errors import UserError
from tests import command

ROOT = command.ROOT
MINE = """
from configs import common, digits

def get_config():
  config = common.get_config()
  config.duration = digits.get_config().duration
  return config
"""
FOREIGN = 'raise RuntimeError("a package of another project")'


@pytest.fixture(autouse=True)
def no_configs_are_imported(monkeypatch):
  for name in [n for n in sys.modules if n.split('.')[0] == 'configs']:
    monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
  'name',
  [
    'cifar_resnet56',
    'cifar_resnet56.py',
    'configs/cifar_resnet56.py',
    'configs.cifar_resnet56',
    str(ROOT / 'configs' / 'cifar_resnet56.py'),
  ],
)
def test_a_shipped_config_is_found_from_anywhere(name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert shipped.find(name) == ROOT / 'configs' / 'cifar_resnet56.py'
  assert load_config(name).model.name == 'cifar_resnet56'


def test_a_file_of_that_path_comes_before_the_shipped_one(
  tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'configs').mkdir()
  file = tmp_path / 'configs' / 'cifar_resnet56.py'
  file.write_text(MINE)
  assert load_config('configs/cifar_resnet56.py').duration == '500 steps'


@pytest.mark.parametrize('foreign', ['__init__.py', 'common.py', 'digits.py'])
def test_a_package_of_the_current_folder_is_not_taken(
  foreign, tmp_path, monkeypatch
):
  (tmp_path / 'configs').mkdir()
  (tmp_path / 'configs' / foreign).write_text(FOREIGN)
  mine = tmp_path / 'mine.py'
  mine.write_text(MINE)
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(str(tmp_path))
  assert load_config(str(mine)).duration == '500 steps'
  assert load_config('digits_resnet20').model.name == 'cifar_resnet20'


def test_a_config_imports_what_is_beside_it(tmp_path):
  folder = tmp_path / 'configs'
  folder.mkdir()
  (folder / 'base.py').write_text(MINE)
  (folder / 'mine.py').write_text('from configs.base import get_config')
  assert load_config(str(folder / 'mine.py')).duration == '500 steps'


@pytest.mark.parametrize(
  ('name', 'hint'),
  [
    ('cifar_resent56', "did you mean 'cifar_resnet56'"),
    ('configs.digits_resnt20', "did you mean 'digits_resnet20'"),
    ('configs/cifar_resent20.py', "did you mean 'cifar_resnet20"),
    ('nowhere/x.py', 'there is no file nowhere/x.py'),
  ],
)
def test_no_such_config(name, hint):
  with pytest.raises(UserError, match=hint):
    load_config(name)


@pytest.mark.parametrize(
  ('name', 'meant'),
  [
    ('lr', 'schedule.learning_rate'),
    ('learning_rate', 'schedule.learning_rate'),
    ('optimizer.lr', 'schedule.learning_rate'),
    ('batchsize', 'batch_size'),
    ('weight_decy', 'optimizer.weight_decay'),
    ('folder', 'dataset.folder'),
    ('epochs', 'duration'),
    ('dataset.seed', 'seed'),
    ('model.shortcuts', 'model.shortcut'),
  ],
)
def test_a_field_that_is_near(name, meant):
  config = load_config('digits_resnet20')
  with pytest.raises(UserError, match=f"did you mean '{meant}'"):
    check_overrides(config, [f'--config.{name}=1'])


@pytest.mark.parametrize('field', ['shortcut', 'version', 'stem_pool'])
def test_none_takes_the_default_again(field):
  config = load_config('imagenet_resnet18_b')
  config.model[field] = 'None'
  set_none(config)
  assert config.model[field] is None
  config.model[field] = 'B'
  set_none(config)
  assert config.model[field] == 'B'
