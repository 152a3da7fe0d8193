"""Runs the real command, on a tiny set of real images, for the tests."""

import importlib
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

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


def run(
  *arguments: str,
  devices: int = 1,
  late_environment: dict[str, str] | None = None,
  **options,
) -> subprocess.CompletedProcess:
  """Runs the command to its end; the caller looks at the exit code.

  Without further options it is a fork of a process that has imported the
  command, and no more, which saves its seconds of importing. For it
  `late_environment` is what is read later than at imports.
  """
  if not options:
    return run_fork(
      'resnet_jax.main',
      arguments,
      devices=devices,
      environment=late_environment,
    )
  process = start(*arguments, devices=devices, **options)
  try:
    out, err = process.communicate(timeout=300)
  finally:
    if process.poll() is None:
      process.send_signal(signal.SIGKILL)
  return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_fork(
  module: str,
  arguments: Sequence[str],
  *,
  devices: int = 1,
  first_on_path: pathlib.Path | None = None,
  platforms: str | None = None,
  environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess:
  """Runs the command of `module` in a fork of one that has imported `main`.

  Modules in `first_on_path` shadow those that are not imported yet; `platforms`
  stands for JAX_PLATFORMS, which has been read; so have been some others, and
  only the rest can be in `environment`.
  """
  arguments = list(map(str, arguments))
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(['resnet_jax.main'])
  with tempfile.TemporaryDirectory() as folder:
    files = [pathlib.Path(folder, name) for name in ('stdout', 'stderr')]
    process = context.Process(
      target=forked,
      args=(module, arguments, devices, first_on_path, platforms),
      kwargs={'files': files, 'environment': environment or {}},
    )
    process.start()
    process.join(300)
    if process.is_alive():
      process.kill()
      process.join()
      raise subprocess.TimeoutExpired(arguments, 300)
    out, err = (file.read_text() for file in files)
  return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def forked(
  module: str,
  arguments: list[str],
  devices: int,
  first_on_path: pathlib.Path | None,
  platforms: str | None,
  *,
  files: list[pathlib.Path],
  environment: dict[str, str],
) -> None:
  """Does what `python -m MODULE` does, its output in `files`."""
  for descriptor, file in enumerate(files, 1):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
  os.environ |= environment
  os.environ['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={devices}'
  os.chdir(ROOT)
  if first_on_path is not None:
    sys.path.insert(0, str(first_on_path))
  if platforms is not None:
    import jax

    jax.config.update('jax_platforms', platforms)
  sys.argv = [module, *arguments]
  importlib.import_module(module).run()


def run_well(*arguments: str, **options) -> str:
  """Runs the command, which must succeed; its standard output."""
  result = run(*arguments, **options)
  assert result.returncode == 0, result.stdout + result.stderr
  return result.stdout


def refused(*words, telling=(), **options):
  """Runs the command, which must refuse: one paragraph, exit code 2.

  Returns the paragraph, which must hold the words of `telling`.
  """
  result = run(*words, **options)
  text = result.stdout + result.stderr
  assert result.returncode == 2, text
  assert 'Traceback' not in text
  before, found, error = result.stderr.rpartition('error: ')
  assert found and before in ('', before.rstrip('\n') + '\n'), text
  for word in telling:
    assert str(word) in error, text
  assert '\n\n' not in error.strip()
  return error


def arguments(digits_npz, workdir, *more):
  """The flags of a run of seconds on the arrays of `digits_npz`."""
  data = f'--config.dataset.npz={digits_npz}'
  return (*TINY, data, f'--workdir={workdir}', *more)
