"""The machine: its name, its load, its rates of arithmetic and of memory."""

import os
import pathlib
import platform
import time
from typing import Any

from benchmarks.rounds import Unavailable, Work, Worker, interleave

# Square matrices and copies, small enough for a CPU and large enough for a GPU.
_SIDE = {'cpu': 2048, 'gpu': 8192}
_COPIED_BYTES = {'cpu': 2**28, 'gpu': 2**31}
_PEERS = {'torch': {'JAX_PLATFORMS': 'cpu'}}
_BUSY = 0.5


def describe() -> dict[str, Any]:
  """The processor, the cores and the settings that a measurement depends on."""
  settings = ('MALLOC_', 'XLA_', 'JAX_', 'OMP_', 'MKL_', 'OPENBLAS_', 'GLIBC_')
  return {
    'processor': _processor(),
    'cores': len(os.sched_getaffinity(0)),
    'platform': platform.platform(),
    'python': platform.python_version(),
    'load': os.getloadavg()[0],
    'time': time.strftime('%Y-%m-%d %H:%M:%S'),
    'settings': {
      name: value
      for name, value in sorted(os.environ.items())
      if name.startswith((*settings, 'LD_PRELOAD'))
    },
  }


def busy(load: float) -> str | None:
  """A warning if others use this machine."""
  if load <= _BUSY:
    return None
  return (
    f'the load average is {load:.2f}: something else runs here, and the '
    f'figures are of a machine that is shared'
  )


def rates(
  precision: str, *, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
  """The best rate of each library: 'flops' and 'bytes' per second.

  Libraries that are missing, or lack the precision, are left out.
  """
  found: dict[str, dict[str, float]] = {'flops': {}, 'bytes': {}}
  for quantity, maker in (('flops', 'matrix'), ('bytes', 'copy')):
    for library in ('numpy', 'torch', 'jax'):
      try:
        with Worker(
          f'benchmarks.machine:{maker}',
          (library, precision),
          _PEERS.get(library),
        ) as worker:
          measured = interleave(
            {library: worker}, rounds=rounds, seconds=seconds
          )
          found[quantity][library] = max(measured[library])
      except Unavailable:
        continue
  return found


def matrix(spec: tuple[str, str]) -> tuple[Work, dict[str, Any]]:
  """Products of square matrices, counted in FLOPs."""
  library, precision = spec
  if library == 'numpy':
    multiply, side = _numpy_matrix(precision)
  elif library == 'torch':
    multiply, side = _torch_matrix(precision)
  else:
    multiply, side = _jax_matrix(precision)
  multiply(1)

  def work(repeats: int) -> tuple[float, None]:
    multiply(repeats)
    return 2.0 * side**3 * repeats, None

  return work, {}


def copy(spec: tuple[str, str]) -> tuple[Work, dict[str, Any]]:
  """Copies of a large array, counted in bytes read and written."""
  library, _ = spec
  if library == 'numpy':
    move, size = _numpy_copy()
  elif library == 'torch':
    move, size = _torch_copy()
  else:
    move, size = _jax_copy()
  move(1)

  def work(repeats: int) -> tuple[float, None]:
    move(repeats)
    return 2.0 * size * repeats, None

  return work, {}


def _numpy_matrix(precision: str) -> tuple[Any, int]:
  import numpy as np

  if precision != 'float32':
    raise Unavailable(f'NumPy has no {precision}')
  a = np.ones((_SIDE['cpu'],) * 2, np.float32)
  out = np.empty_like(a)

  def multiply(repeats: int) -> None:
    for _ in range(repeats):
      np.matmul(a, a, out=out)

  return multiply, _SIDE['cpu']


def _torch_matrix(precision: str) -> tuple[Any, int]:
  import torch

  gpu = torch.cuda.is_available()
  torch.backends.cuda.matmul.allow_tf32 = True  # as its convolutions do
  side = _SIDE['gpu' if gpu else 'cpu']
  dtype = getattr(torch, precision)
  a = torch.ones(side, side, dtype=dtype, device='cuda' if gpu else 'cpu')
  out = torch.empty_like(a)

  def multiply(repeats: int) -> None:
    for _ in range(repeats):
      torch.matmul(a, a, out=out)
    if gpu:
      torch.cuda.synchronize()

  return multiply, side


def _jax_matrix(precision: str) -> tuple[Any, int]:
  import jax
  import jax.numpy as jnp

  side = _SIDE['cpu' if jax.default_backend() == 'cpu' else 'gpu']
  a = jnp.ones((side, side), precision)
  product = jax.jit(jnp.matmul)

  def multiply(repeats: int) -> None:
    for _ in range(repeats):
      out = product(a, a)
      if side == _SIDE['cpu']:
        out.block_until_ready()
    out.block_until_ready()

  return multiply, side


def _numpy_copy() -> tuple[Any, int]:
  import numpy as np

  a = np.ones(_COPIED_BYTES['cpu'] // 4, np.float32)
  out = np.empty_like(a)

  def move(repeats: int) -> None:
    for _ in range(repeats):
      np.copyto(out, a)

  return move, a.nbytes


def _torch_copy() -> tuple[Any, int]:
  import torch

  gpu = torch.cuda.is_available()
  device, size = ('cuda', 'gpu') if gpu else ('cpu', 'cpu')
  a = torch.ones(_COPIED_BYTES[size] // 4, device=device)
  out = torch.empty_like(a)

  def move(repeats: int) -> None:
    for _ in range(repeats):
      out.copy_(a)
    if gpu:
      torch.cuda.synchronize()

  return move, _COPIED_BYTES[size]


def _jax_copy() -> tuple[Any, int]:
  import jax
  import jax.numpy as jnp

  cpu = jax.default_backend() == 'cpu'
  size = _COPIED_BYTES['cpu' if cpu else 'gpu']
  a = jnp.ones(size // 4)
  negate = jax.jit(jnp.negative, donate_argnums=0)  # reads and writes once

  def move(repeats: int) -> None:
    nonlocal a
    for _ in range(repeats):
      a = negate(a)
    a.block_until_ready()

  return move, size


def _processor() -> str:
  try:
    text = pathlib.Path('/proc/cpuinfo').read_text()
  except OSError:
    return platform.processor()
  for line in text.splitlines():
    if line.startswith('model name'):
      return line.partition(':')[2].strip()
  return platform.processor()
