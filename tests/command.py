"""Runs the real command, on a tiny set of real images, for the tests."""

import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).parent.parent

# A net and a run of seconds; no TensorFlow, whose import is slower than that.
TINY = (
  '--config=configs/digits_resnet20.py',
  '--config.model.name=cifar_resnet8',
  '--config.batch_size=16',
  '--config.model.bn_group_size=8',
  '--config.duration=30',
  '--config.augment.pad=1',
  '--config.bn_recompute_batches=2',
  '--config.run.tensorboard=False',
  '--config.run.log_every=4',
  '--config.run.eval_every=10',
  '--config.run.eval_batch_size=16',
  '--config.run.checkpoint_every=5',
)


def write_digits(file: pathlib.Path, train: int = 150, test: int = 37) -> None:
  """The first of scikit-learn's digits as the .npz that a config names."""
  from sklearn import datasets

  digits = datasets.load_digits()
  images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
  labels = digits.target.astype(np.int64)
  np.savez(
    file,
    train_images=images[:train],
    train_labels=labels[:train],
    test_images=images[train : train + test],
    test_labels=labels[train : train + test],
  )


def start(
  *arguments: str,
  devices: int = 1,
  environment: dict[str, str] | None = None,
  largest_file: int | None = None,
) -> subprocess.Popen:
  """Starts `python -m resnet_jax.main` with `arguments`.

  `largest_file`, in bytes, makes every write beyond it fail, as on a full disk.
  """
  limit = []
  if largest_file is not None:  # ulimit counts blocks of 512 bytes
    script = f'ulimit -f {largest_file // 512}; exec "$@"'
    limit = ['sh', '-c', script, 'sh']
  flag = f'--xla_force_host_platform_device_count={devices}'
  return subprocess.Popen(
    [*limit, sys.executable, '-m', 'resnet_jax.main', *map(str, arguments)],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flag} | (environment or {}),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
  """Runs the command to its end; the caller looks at the exit code."""
  process = start(*arguments, **options)
  try:
    out, err = process.communicate(timeout=300)
  finally:
    if process.poll() is None:
      process.send_signal(signal.SIGKILL)
  return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_well(*arguments: str, **options) -> str:
  """Runs the command, which must succeed; its standard output."""
  result = run(*arguments, **options)
  assert result.returncode == 0, result.stdout + result.stderr
  return result.stdout
