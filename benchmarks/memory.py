"""Memory of this process's device: the GPU's, or the process's own on a CPU."""

import pathlib

import jax

_KIB = 1024


def now() -> int:
  """Bytes in use."""
  stats = jax.devices()[0].memory_stats()
  return stats['bytes_in_use'] if stats else process('VmRSS')


def peak() -> int:
  """The most bytes in use, on a CPU since `reset_peak`."""
  stats = jax.devices()[0].memory_stats()
  return stats['peak_bytes_in_use'] if stats else process('VmHWM')


def reset_peak() -> None:
  """Makes the process's peak what it holds now (Linux)."""
  pathlib.Path('/proc/self/clear_refs').write_text('5')


def process(name: str) -> int:
  """A field of /proc/self/status in bytes: VmRSS now, VmHWM at its peak."""
  status = pathlib.Path('/proc/self/status').read_text()
  for line in status.splitlines():
    if line.startswith(f'{name}:'):
      return int(line.split()[1]) * _KIB
  raise OSError(f'/proc/self/status has no {name}')
