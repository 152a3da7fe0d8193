"""The machine: its name, its load, its rates of arithmetic and of memory."""

import functools
import os
import pathlib
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.rounds import Unavailable, Work, facts, nothing

# Square matrices and copies, small enough for a CPU and large enough for a GPU.
_SIDE = {'cpu': 2048, 'gpu': 8192}
_COPIED_BYTES = {'cpu': 2**28, 'gpu': 2**31}
_PEERS = {'torch': {'JAX_PLATFORMS': 'cpu'}}
_BUSY = 0.5
_ROUNDS = 4


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
  precision: str, *, seconds: float, libraries: Sequence[str]
) -> dict[str, dict[str, float]]:
  """The best rate of each library: 'flops' and 'bytes' per second.

  Libraries that are missing, or lack the precision, are left out.

  Args:
    precision: One of `cases.PRECISIONS`.
    seconds: How long each library multiplies, and copies.
    libraries: Names of _MATRICES.
  """
  found: dict[str, dict[str, float]] = {'flops': {}, 'bytes': {}}
  for library in libraries:
    spec = (library, precision, seconds)
    try:
      measured = facts('benchmarks.machine:library', spec, _PEERS.get(library))
    except Unavailable:
      continue
    for quantity, rate in measured.items():
      found[quantity][library] = rate
  return found


def library(spec: tuple[str, str, float]) -> tuple[Work, dict[str, Any]]:
  """The rates of one library, as facts: there is nothing to repeat.

  Products of square matrices are counted in FLOPs, copies of a large array in
  bytes read and written.
  """
  name, precision, seconds = spec
  multiply, side = _MATRICES[name](precision)
  move, size = _COPIES[name]()
  return nothing, {
    'flops': 2.0 * side**3 * _best(multiply, seconds),
    'bytes': 2.0 * size * _best(move, seconds),
  }


def _best(work: Callable[[int], None], seconds: float) -> float:
  """Repetitions per second, in the best of some rounds."""
  work(1)
  start = time.perf_counter()
  work(1)
  once = time.perf_counter() - start
  repeats = max(1, round(seconds / _ROUNDS / once))
  best = 0.0
  for _ in range(_ROUNDS):
    start = time.perf_counter()
    work(repeats)
    best = max(best, repeats / (time.perf_counter() - start))
  return best


def _numpy_matrix(precision: str) -> tuple[Any, int]:
  import numpy as np

  if precision == 'bfloat16':
    raise Unavailable('NumPy has no bfloat16')
  a = np.ones((_SIDE['cpu'],) * 2, np.float32)
  out = np.empty_like(a)

  def multiply(repeats: int) -> None:
    for _ in range(repeats):
      np.matmul(a, a, out=out)

  return multiply, _SIDE['cpu']


def _torch_matrix(precision: str) -> tuple[Any, int]:
  import torch

  gpu = torch.cuda.is_available()
  torch.backends.cuda.matmul.allow_tf32 = precision == 'tensorfloat32'
  side = _SIDE['gpu' if gpu else 'cpu']
  dtype = torch.bfloat16 if precision == 'bfloat16' else torch.float32
  # Of noise: a GPU multiplies numbers that are all alike faster.
  a = torch.randn(side, side, device='cuda' if gpu else 'cpu').to(dtype)
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
  exact = precision == 'float32'
  a = jax.random.normal(jax.random.key(0), (side, side))
  a = a.astype('bfloat16' if precision == 'bfloat16' else 'float32')
  product = jax.jit(
    functools.partial(jnp.matmul, precision='highest' if exact else None)
  )

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


_MATRICES: dict[str, Callable[[str], tuple[Any, int]]] = {
  'numpy': _numpy_matrix,
  'torch': _torch_matrix,
  'jax': _jax_matrix,
}
_COPIES: dict[str, Callable[[], tuple[Any, int]]] = {
  'numpy': _numpy_copy,
  'torch': _torch_copy,
  'jax': _jax_copy,
}


def _processor() -> str:
  try:
    text = pathlib.Path('/proc/cpuinfo').read_text()
  except OSError:
    return platform.processor()
  for line in text.splitlines():
    if line.startswith('model name'):
      return line.partition(':')[2].strip()
  return platform.processor()
