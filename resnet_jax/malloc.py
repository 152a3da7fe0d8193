"""Settings of glibc's malloc under which a step's memory serves the next one.

A step on a CPU takes hundreds of megabytes and gives them back. By default
glibc then returns them to the kernel, which maps and clears them again at the
next step, in pages of 4 kB: about a quarter of the time of a step.
"""

import os
import pathlib
import platform
import sys

from resnet_jax import signals

_TUNABLES = ':'.join(
  [
    'glibc.malloc.hugetlb=1',  # pages of 2 MB where the kernel has them
    'glibc.malloc.mmap_max=0',  # large arrays, too, are kept for the next
    'glibc.malloc.trim_threshold=1000000000000',
  ]
)
# Where there is one of these, JAX computes on it.
_ACCELERATORS = ('/dev/nvidiactl', '/dev/kfd', '/dev/accel0', '/dev/vfio')


def keep_memory() -> None:
  """Starts this program over with the settings, unless it has some already.

  glibc reads them when a process starts. Call this first: whatever ran before,
  runs again.
  """
  if settings() and not signals.noted():  # which would be forgotten
    os.environ.update(settings())
    os.execv(sys.executable, sys.orig_argv)


def settings() -> dict[str, str]:
  """The environment variables for a process that computes on the CPU.

  Empty where JAX would compute on something else, where the C library is not
  glibc, and where the user has chosen settings.
  """
  if 'GLIBC_TUNABLES' in os.environ or platform.libc_ver()[0] != 'glibc':
    return {}
  on_cpu = os.environ.get('JAX_PLATFORMS') == 'cpu'
  if not on_cpu and any(pathlib.Path(p).exists() for p in _ACCELERATORS):
    return {}
  return {'GLIBC_TUNABLES': _TUNABLES}
