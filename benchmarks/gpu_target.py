"""The H100 that programs are compiled for, on a machine that has none.

JAX's CUDA plugin compiles for a GPU that is described to it by a text. It needs
no driver, and these packages beside jaxlib, of the same version:

  pip install --no-deps jax-cuda12-plugin==0.10.2 jax-cuda12-pjrt==0.10.2 \\
    nvidia-cuda-nvcc-cu12==12.9.86

Nothing is tuned on the device, so that convolutions keep cuDNN's default
algorithm, and the memory that cuDNN takes for itself is not known.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator

import jax
import jaxlib.version
from jax.experimental import topologies

from resnet_jax.errors import UserError

# Peak rates of an H100 SXM, from NVIDIA's data sheet, without sparsity.
BANDWIDTH = 3.35e12  # bytes/s
MEMORY = 80e9  # bytes
FLOPS = {'bf16': 989e12, 'f16': 989e12, 'tf32': 495e12, 'f32': 67e12}
# Share of the memory that JAX takes at its start, unless told otherwise.
USABLE = 0.75

_NVCC = '12.9.86'
# The text form of XLA's GpuTargetConfigProto.
_TARGET = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84978434048
  cuda_compute_capability { major: 9 minor: 0 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def prepare(devices: int) -> None:
  """Lets this process compile for GPUs, and gives it as many CPU devices.

  The CPU's devices stand for the GPUs wherever a program asks how many there
  are. Call this before JAX is used.
  """
  os.environ['JAX_SKIP_CUDA_CONSTRAINTS_CHECK'] = '1'
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', devices)


def h100s(devices: int) -> list[jax.Device]:
  """So many H100s of one host, to compile for.

  Raises:
    UserError: the CUDA plugin is missing, or of another version.
  """
  if not importlib.util.find_spec('jax_cuda12_plugin'):
    raise UserError(_missing())
  try:
    with _silent():
      topology = topologies.get_topology_desc(
        'h100',
        'cuda',
        target_config=_TARGET,
        topology=f'1x1x{devices}',
      )
  except Exception as e:  # the plugin raises what it likes
    raise UserError(f'{_missing()} It says: {e}') from e
  return list(topology.devices)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
  """Drops what C++ writes to stderr: that there is no driver, four times."""
  sys.stderr.flush()
  kept = os.dup(2)
  with open(os.devnull, 'w') as nowhere:
    os.dup2(nowhere.fileno(), 2)
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)


def _missing() -> str:
  version = jaxlib.version.__version__
  return (
    "JAX's CUDA plugin, which compiles for a GPU without one, does not work "
    'here. Make an environment of its own, install this project in it, and '
    f'then, with --no-deps, jax-cuda12-plugin=={version} '
    f'jax-cuda12-pjrt=={version} nvidia-cuda-nvcc-cu12=={_NVCC} (600 MB).'
  )
