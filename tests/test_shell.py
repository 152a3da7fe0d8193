"""Every command ends alike: by an error, a signal, or for want of a package."""

import argparse
import errno
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from resnet_jax import main, models, predict, weights
from resnet_jax.errors import UserError
from resnet_jax.paper import __main__ as paper
from resnet_jax.shell import shell
from resnet_jax.weights import __main__ as weights_command
from tests import command

# How a library that is imported late ends the command.
ENDS = {
  'SIGINT': 'import os, signal\nos.kill(os.getpid(), signal.SIGINT)',
  'SIGTERM': 'import os, signal\nos.kill(os.getpid(), signal.SIGTERM)',
  'SIGINT in a destructor': """
import os, signal
class Callback:
  def __del__(self):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000): pass
Callback()
raise RuntimeError('went on')
""",
  'SIGTERM in C': """
import hashlib, os, signal, threading
kill = lambda: os.kill(os.getpid(), signal.SIGTERM)
threading.Timer(0.2, kill).start()
hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)
""",
  'missing': 'raise ImportError("not here", name=__name__)',
  'full disk': 'raise OSError(28, "No space left on device")',
}
# Exit code, and the beginning and another part of stderr.
TOLD = {
  'SIGINT': (130, 'interrupted by SIGINT\n', ''),
  'SIGTERM': (143, 'interrupted by SIGTERM\n', ''),
  'SIGINT in a destructor': (130, 'interrupted by SIGINT\n', ''),
  'SIGTERM in C': (143, 'interrupted by SIGTERM\n', ''),
  'missing': (2, 'error: ', 'nstall'),
  'full disk': (2, 'error: ', 'No space left on device'),
}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """A picture, weights, and a checkpoint for the commands to begin with."""
  folder = tmp_path_factory.mktemp('files')
  for name in ('cat.jpg', 'net.pth'):
    (folder / name).write_bytes(b'not read')
  model = models.create('cifar_resnet8', num_classes=10)
  images = jnp.zeros((1, *models.input_shape('cifar_resnet8')))
  variables = jax.jit(model.init)(jax.random.key(0), images)
  arrays = weights.from_variables(variables, model)
  weights.write_safetensors(folder / 'net.safetensors', arrays)
  weights.import_file(folder / 'net.safetensors', folder / 'imported')
  return folder


# Module, arguments, and the library that the command imports late.
COMMANDS = {
  'resnet_jax.main': (
    ['--config=configs/digits_resnet20.py', '--workdir={tmp_path}/run'],
    'tensorflow',
  ),
  'resnet_jax.weights.__main__': (['show', '{files}/net.pth'], 'torch'),
  'resnet_jax.predict': (
    ['--checkpoint={files}/imported/0', '{files}/cat.jpg'],
    'tensorflow',
  ),
  'resnet_jax.paper.__main__': (
    ['show', 'fig3', '--runs={tmp_path}'],
    'matplotlib',
  ),
}


@pytest.mark.parametrize('module', COMMANDS)
@pytest.mark.parametrize('end', ENDS)
def test_a_command_ends_in_one_line(module, end, files, tmp_path):
  arguments, library = COMMANDS[module]
  (tmp_path / f'{library}.py').write_text(ENDS[end])
  result = command.run_fork(
    module,
    [word.format(files=files, tmp_path=tmp_path) for word in arguments],
    first_on_path=tmp_path,
  )
  code, beginning, words = TOLD[end]
  assert result.returncode == code, result.stdout + result.stderr
  assert result.stderr.startswith(beginning)
  assert words in result.stderr
  assert 'Traceback' not in result.stdout + result.stderr
  assert len(result.stderr.strip().splitlines()) == 1


# Words of the log after which a signal comes; '' is while modules are imported.
MOMENTS = {
  'importing': '',
  'loading': 'loading ',
  'initializing': 'initializing the weights',
  'compiling': 'compiling the training step',
  'testing': 'cifar_resnet8',
  'recomputing': 'recomputing BN statistics',
}


@pytest.mark.parametrize('moment', MOMENTS)
@pytest.mark.parametrize(
  'number',
  [
    pytest.param(signal.SIGINT, marks=pytest.mark.long),
    pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
  ],
)
def test_a_signal_outside_of_the_loop(
  moment, number, digits_npz, files, tmp_path
):
  more = '--config.bn_recompute_batches=2000'
  words = command.arguments(digits_npz, tmp_path, more)
  if moment == 'testing':
    images, labels = np.zeros((50_000, 32, 32, 3), np.uint8), np.arange(50_000)
    splits = {'train': 10, 'test': 50_000}
    arrays = {f'{s}_images': images[:n] for s, n in splits.items()}
    arrays |= {f'{s}_labels': labels[:n] % 10 for s, n in splits.items()}
    np.savez(tmp_path / 'set.npz', **arrays)
    words = command.arguments(tmp_path / 'set.npz', tmp_path, '--mode=eval')
    words += (f'--checkpoint={files}/imported/0',)
  with command.start(*words) as process:
    if moment == 'importing':
      time.sleep(1)
    for line in process.stdout:
      if line.startswith(MOMENTS[moment]):
        break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
  assert process.returncode == 128 + number, out + err
  assert err == f'interrupted by {number.name}\n'
  assert 'Traceback' not in out


# What stands in the place of jax, and what the command says of it.
UNFIT = {
  'raise ModuleNotFoundError("No module", name="jax")': 'jax is missing',
  'from numpy import no_such_name': "cannot import name 'no_such_name'",
}


@pytest.mark.parametrize('stand_in', UNFIT)
@pytest.mark.parametrize(
  'module', ['resnet_jax', *COMMANDS, 'resnet_jax.weights']
)
def test_a_package_that_a_command_begins_with(module, stand_in, tmp_path):
  (tmp_path / 'jax.py').write_text(stand_in)
  result = subprocess.run(
    [sys.executable, '-m', module, 'list'],
    cwd=command.ROOT,
    env=os.environ | {'PYTHONPATH': str(tmp_path)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 2  # launchers do not start it again
  assert result.stderr.startswith('error: ')
  assert UNFIT[stand_in] in result.stderr
  assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
  ('error', 'code'),
  [
    (UserError('batch_size is 0'), 2),
    (OSError(errno.ENOSPC, 'No space left on device'), 2),
    (OSError(errno.ESTALE, 'Stale file handle'), 1),  # it may be back
  ],
)
def test_launchers_know_what_to_start_again(error, code, capsys):
  with pytest.raises(SystemExit) as end, shell():
    raise error
  assert end.value.code == code
  assert capsys.readouterr().err.startswith('error: ')


# Where there is a GPU, this asks for one of another maker.
@pytest.mark.parametrize('platforms', ['cuda', 'gpu', 'nonsense'])
@pytest.mark.parametrize('module', list(COMMANDS)[:3])  # not the paper's
def test_devices_that_are_not_there(module, platforms, files, tmp_path):
  arguments, _ = COMMANDS[module]
  wanted = 'rocm' if jax.default_backend() == 'gpu' else platforms
  result = command.run_fork(
    module,
    [word.format(files=files, tmp_path=tmp_path) for word in arguments],
    platforms=wanted,
  )
  assert result.returncode == 2
  assert result.stderr.startswith(f'error: JAX_PLATFORMS={wanted} asks for')
  assert len(result.stderr.strip().splitlines()) == 1


def options_of(parser):
  """The options and arguments of a parser, and of its commands."""
  for action in parser._actions:
    if isinstance(action, argparse._SubParsersAction):
      for command_parser in action.choices.values():
        yield from options_of(command_parser)
    else:
      yield action


@pytest.mark.parametrize('module', [predict, paper, weights_command])
def test_every_option_has_a_help_text(module):
  for option in options_of(module._parser()):
    assert option.help, option


def test_every_flag_has_a_help_text():
  ours = flags.FLAGS.flags_by_module_dict()[main.__name__]
  assert {flag.name for flag in ours} >= {'config', 'workdir', 'mode'}
  for flag in ours:
    assert flag.help, flag.name


def test_nobody_reads_on():
  with subprocess.Popen(
    [sys.executable, '-m', 'resnet_jax.paper', 'list'],
    cwd=command.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    process.stdout.close()
    assert process.stderr.read() == ''
  assert process.returncode == 141
