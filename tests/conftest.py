"""Fixtures that several files of tests share."""

import logging
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


if os.environ.get('RESNET_JAX_NEEDS_TORCH'):
  # Tests against PyTorch skip without it: where it is to be had, as in CI, its
  # lack ends all tests here.
  from benchmarks.torchvision_modules import import_torchvision

  import_torchvision()


@pytest.fixture(scope='session', autouse=True)
def signals_are_not_ignored():
  """Undoes what nohup and background jobs of a script hand down to tests."""
  handlers = {
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
  }
  before = {n: signal.signal(n, handler) for n, handler in handlers.items()}
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


@pytest.fixture(autouse=True)
def log_lines_reach_caplog():
  """A command that an earlier test ran keeps our log lines to itself."""
  logging.getLogger('resnet_jax').propagate = True


@pytest.fixture(scope='session')
def digits_npz(tmp_path_factory) -> pathlib.Path:
  file = tmp_path_factory.mktemp('data') / 'digits.npz'
  command.write_digits(file)
  return file


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory, digits_npz) -> pathlib.Path:
  """The folder of a run of `command.TINY`, with checkpoints of 25 and 30.

  Tests that change it copy it before.
  """
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  command.run_well(*command.arguments(digits_npz, workdir))
  return workdir


@pytest.fixture(scope='module')
def quick_compilation():
  """XLA's optimizer takes most of the time that nets this small need."""
  import jax  # reads the environment, which is set above

  before = jax.config.read('jax_disable_most_optimizations')
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', before)
