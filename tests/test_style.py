"""The code is as ruff and mypy want it, with the settings of pyproject.toml."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from tests import command


@pytest.mark.parametrize('words', [['check'], ['format', '--check']])
def test_ruff(words):
  subprocess.run(
    [sys.executable, '-m', 'ruff', *words], cwd=command.ROOT, check=True
  )


def test_types():
  # 25 seconds of a core, or 1 second once the cache is filled: a folder of
  # this machine and user, kept between sessions of pytest.
  cache = pathlib.Path(tempfile.gettempdir(), f'resnet_jax-mypy-{os.getuid()}')
  subprocess.run(
    [sys.executable, '-m', 'mypy', f'--cache-dir={cache}'],
    cwd=command.ROOT,
    check=True,
  )
