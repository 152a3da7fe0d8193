"""Fixtures that several files of tests share."""

import os
import pathlib
import signal
import sys
import tempfile

import pytest

from tests import command

# `configs` is found beside the package, as with `python -m` in the root.
sys.path.insert(0, str(command.ROOT))

# The many small runs of the tests compile the same steps: once is enough. A
# folder of this machine and user, kept between sessions of pytest.
_CACHE = pathlib.Path(tempfile.gettempdir(), f'resnet_jax-xla-{os.getuid()}')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(_CACHE))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')


@pytest.fixture(scope='session', autouse=True)
def hangups_are_not_ignored():
  """Under nohup SIGHUP is ignored, and so it would be by what tests start."""
  before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
  yield
  signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope='session')
def digits_npz(tmp_path_factory) -> pathlib.Path:
  file = tmp_path_factory.mktemp('data') / 'digits.npz'
  command.write_digits(file)
  return file


@pytest.fixture(scope='module')
def quick_compilation():
  """XLA's optimizer takes most of the time that nets this small need."""
  import jax  # reads the environment, which is set above

  before = jax.config.read('jax_disable_most_optimizations')
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', before)
