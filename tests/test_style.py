"""The code is as ruff wants it, with the settings of pyproject.toml."""

import subprocess
import sys

import pytest

from tests import command


@pytest.mark.parametrize('words', [['check'], ['format', '--check']])
def test_ruff(words):
  subprocess.run(
    [sys.executable, '-m', 'ruff', *words], cwd=command.ROOT, check=True
  )
