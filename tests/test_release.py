"""What a release says about itself agrees, and nothing of it is left out."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

import resnet_jax
from tests import command


def test_version_and_date_are_the_same_in_all_files():
  changes = (command.ROOT / 'CHANGELOG.md').read_text()
  citation = (command.ROOT / 'CITATION.cff').read_text()
  version, date = re.findall(r'^## (\d\S+) - (\S+)$', changes, re.MULTILINE)[0]
  assert resnet_jax.__version__ == version
  assert f'\nversion: {version}\n' in citation
  assert f'\ndate-released: {date}\n' in citation


def test_every_folder_of_modules_is_shipped():
  root = command.ROOT / 'resnet_jax'
  folders = {
    '.'.join(file.parent.relative_to(command.ROOT).parts)
    for file in root.rglob('*.py')
  }
  settings = configparser.ConfigParser()
  settings.read(command.ROOT / 'setup.cfg')
  shipped = settings['options']['packages'].split()
  assert {*folders, 'resnet_jax.configs'} == set(shipped)


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
  """A folder of commands of an environment that the package is installed in.

  Its dependencies are those of the tests, which spares a download.
  """
  pytest.importorskip('pip')
  folder = tmp_path_factory.mktemp('installed')
  source = folder / 'source'
  for part in ('resnet_jax', 'configs'):
    shutil.copytree(command.ROOT / part, source / part)
  for file in [*command.ROOT.glob('*.*'), command.ROOT / 'LICENSE']:
    if file.is_file():
      shutil.copy(file, source)
  pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
  quick = ['--quiet', '--no-deps', '--no-build-isolation', '--no-index']
  subprocess.run(
    [*pip, 'wheel', *quick, f'--wheel-dir={folder}', str(source)], check=True
  )
  (wheel,) = folder.glob('*.whl')
  shutil.rmtree(source)
  venv.create(folder / 'venv', with_pip=False)
  python = folder / 'venv' / 'bin' / 'python'
  subprocess.run(
    [*pip, '--python', str(python), 'install', '--quiet', '--no-deps', wheel],
    check=True,
  )
  (site,) = (folder / 'venv' / 'lib').glob('*/site-packages')
  (site / 'tests.pth').write_text(sysconfig.get_path('purelib') + '\n')
  return python.parent


@pytest.mark.long
@pytest.mark.parametrize(
  'name',
  ['cifar_resnet56', 'configs/cifar_resnet56.py', 'mine.py', 'python -m'],
)
def test_the_command_works_outside_of_the_repository(name, installed, tmp_path):
  (tmp_path / 'mine.py').write_text('from configs.common import get_config\n')
  (tmp_path / 'configs').mkdir()
  (tmp_path / 'configs' / '__init__.py').write_text('1 / 0\n')
  start = [installed / 'resnet_jax', f'--config={name}']
  if name == 'python -m':
    start = [installed / 'python', '-m', 'resnet_jax.main']
    start += ['--config=cifar_resnet56']
  environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  result = subprocess.run(
    [*start, '--config.batch_size=0'],
    cwd=tmp_path,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert result.returncode == 2, result.stdout + result.stderr
  assert result.stderr.startswith('error: config.batch_size is 0')


@pytest.mark.long
def test_the_command_has_the_others(installed, tmp_path):
  environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  for name in ('predict', 'weights', 'paper'):
    result = subprocess.run(
      [installed / 'resnet_jax', name, '--help'],
      cwd=tmp_path,
      env=environment,
      capture_output=True,
      text=True,
    )
    assert f'resnet_jax.{name}' in result.stdout, result.stderr


@pytest.mark.skipif(
  not shutil.which('git') or not (command.ROOT / '.git').exists(),
  reason='no checkout of git',
)
def test_git_ignores_no_source():
  found = subprocess.run(
    [
      *('git', 'ls-files', '--others', '--ignored', '--exclude-standard'),
      *('--', 'resnet_jax/**.py', 'tests/**.py', 'configs/**.py'),
    ],
    cwd=command.ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert not found.stdout
