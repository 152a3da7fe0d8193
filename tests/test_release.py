"""What a release says about itself agrees, and nothing of it is left out."""

import re
import shutil
import subprocess

import pytest
import setuptools

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
  assert folders == set(
    setuptools.find_packages(command.ROOT, include=['resnet_jax*'])
  )


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
