"""The hook is given every record, and never ends a run."""

import pytest

from resnet_jax.errors import UserError
from resnet_jax.runs import history, hook, telemetry
from tests import command

MODULE = """
got = []
def opens(config, workdir):
  got.append((config['seed'], workdir))
  return got.append
def breaks(config, workdir):
  return lambda record: 1 / 0
def refuses(config, workdir):
  raise RuntimeError('no key')
def returns(config, workdir):
  return 7
number = 7
"""
VALUES = {'loss': 0.5, 'error': 0.25, 'learning_rate': 0.1}


@pytest.fixture
def module(tmp_path, monkeypatch):
  name = f'hook_{tmp_path.name}'
  (tmp_path / f'{name}.py').write_text(MODULE)
  monkeypatch.syspath_prepend(str(tmp_path))
  return name


def reporter(workdir, opened):
  return telemetry.Reporter(
    workdir,
    first_step=0,
    steps=10,
    batch_size=1,
    clock=telemetry.Clock(),
    tensorboard=False,
    hook=opened,
  )


def test_it_gets_what_is_recorded(module, tmp_path):
  opened = hook.open_hook(f'{module}:opens', {'seed': 3}, tmp_path)
  one = reporter(tmp_path, opened)
  one.train(1, VALUES)
  one.evaluation(1, 'test', {'error': 0.5})
  one.close()
  got = __import__(module).got
  assert got[0] == (3, str(tmp_path))
  assert got[1:] == history.read_metrics(tmp_path)


def test_its_failure_is_a_warning(module, tmp_path, caplog):
  opened = hook.open_hook(f'{module}:breaks', {}, tmp_path)
  one = reporter(tmp_path, opened)
  one.train(1, VALUES)
  one.train(2, VALUES)
  one.close()
  assert len(history.read_metrics(tmp_path)) == 2
  assert caplog.text.count('ZeroDivisionError') == 1


@pytest.mark.parametrize(
  ('name', 'telling'),
  [
    ('{}', 'module:function'),
    ('{}:nothing', 'nothing'),
    ('{}:number', 'no function'),
    ('{}:refuses', 'no key'),
    ('{}:returns', 'must return a function'),
    ('no_such_module_here:f', 'ModuleNotFoundError'),
  ],
)
def test_what_cannot_be_opened(name, telling, module, tmp_path):
  with pytest.raises(UserError, match=telling):
    hook.open_hook(name.format(module), {}, tmp_path)


def test_none_is_asked_for_by_default(tmp_path):
  assert hook.open_hook('', {}, tmp_path)({'step': 1}) is None


@pytest.mark.slow
def test_the_command_opens_it(module, digits_npz, tmp_path):
  words = command.arguments(digits_npz, tmp_path / 'run')
  command.refused(
    *words,
    f'--config.run.hook={module}:refuses',
    telling=['no key'],
    environment={'PYTHONPATH': str(tmp_path)},
  )
