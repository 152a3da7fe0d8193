"""The command that compiles for a GPU, with the plugin and without it."""

import importlib.util
import json
import subprocess
import sys

import pytest

from tests import command

HAS_PLUGIN = importlib.util.find_spec('jax_cuda12_plugin') is not None
ARGUMENTS = ['configs/cifar_resnet20.py', '--config.model.name=cifar_resnet8']


def run(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'benchmarks.gpu_program', *ARGUMENTS, *arguments],
    cwd=command.ROOT,
    capture_output=True,
    text=True,
  )


@pytest.mark.skipif(HAS_PLUGIN, reason='the CUDA plugin is installed')
def test_without_the_plugin_it_says_how_to_get_it():
  done = run()
  assert done.returncode == 2
  assert len(done.stderr.strip().splitlines()) == 1
  assert '--no-deps, jax-cuda12-plugin==' in done.stderr


@pytest.mark.skipif(not HAS_PLUGIN, reason='needs the CUDA plugin of JAX')
def test_a_step_is_compiled_for_two_gpus(tmp_path):
  file = tmp_path / 'report.json'
  done = run('--devices=2', '--batch=64', f'--json={file}')
  assert done.returncode == 0, done.stderr
  report = json.loads(file.read_text())
  assert report['kernels'] == sum(report['kernels_by_kind'].values())
  # 7 convolutions and their gradients, but for that of the images, and fc.
  assert report['kernels_by_kind']['product'] == 3 * 7 - 1 + 3
  # The BN groups of 64 span both devices: two messages for each of 7 layers.
  assert report['bn_collectives'] == 14
  assert report['donated_bytes'] > 0
