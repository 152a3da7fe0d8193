"""Every command ends alike: by an error, a signal, or for want of a package."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from resnet_jax import models, weights
from tests import command

# How a library that is imported late ends the command.
ENDS = {
  'SIGINT': 'import os, signal\nos.kill(os.getpid(), signal.SIGINT)',
  'SIGTERM': 'import os, signal\nos.kill(os.getpid(), signal.SIGTERM)',
  'missing': 'raise ImportError("not here", name=__name__)',
  'full disk': 'raise OSError(28, "No space left on device")',
}
# Exit code, and the beginning and another part of stderr.
TOLD = {
  'SIGINT': (130, 'interrupted by SIGINT\n', ''),
  'SIGTERM': (143, 'interrupted by SIGTERM\n', ''),
  'missing': (1, 'error: ', 'nstall'),
  'full disk': (1, 'error: ', 'No space left on device'),
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
