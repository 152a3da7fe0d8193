"""A run's memory is kept from step to step, and the run is told once."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import os, sys
print('start', os.getpid())
from resnet_jax.malloc import keep_memory
keep_memory()
print(os.environ.get('GLIBC_TUNABLES'), sys.argv[1:])
sys.exit(3)
"""

pytestmark = pytest.mark.skipif(
  not sys.platform.startswith('linux'), reason='glibc alone has the settings'
)


def lines_of(*arguments, **environment):
  env = {k: v for k, v in os.environ.items() if k != 'GLIBC_TUNABLES'}
  result = subprocess.run(
    [sys.executable, '-u', '-c', _PROGRAM, *arguments],
    env=env | environment,
    capture_output=True,
    text=True,
  )
  assert result.returncode == 3, result.stderr
  return result.stdout.splitlines()


def test_the_program_starts_over_once_with_the_same_arguments_and_number():
  first, second, settings = lines_of('a b', '--c=*', JAX_PLATFORMS='cpu')
  assert first == second  # one process, which a job's script can signal
  assert settings.startswith('glibc.malloc.hugetlb=1:')
  assert settings.endswith("['a b', '--c=*']")


def test_settings_of_the_user_are_kept():
  own = 'glibc.malloc.arena_max=1'
  _, settings = lines_of(GLIBC_TUNABLES=own, JAX_PLATFORMS='cpu')
  assert settings == f'{own} []'
