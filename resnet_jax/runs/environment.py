"""Versions, devices and commit, stored with every result."""

import hashlib
import os
import pathlib
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import jax

import resnet_jax

_PACKAGES = (
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'clu',
  'numpy',
  'tensorflow-datasets',
)


def versions() -> str:
  """Versions of the main packages, on one line."""
  names = ('jax', 'flax', 'optax')
  return ', '.join(
    [
      f'resnet_jax {resnet_jax.__version__}',
      *(f'{name} {version(name)}' for name in names),
      f'Python {platform.python_version()}',
    ]
  )


def describe(**facts: Any) -> dict[str, Any]:
  """Command, commit, machine, devices and versions, as JSON.

  Args:
    **facts: What else belongs to it, such as the `precision` of a network.
  """
  return {
    'command': ' '.join(sys.argv),
    'commit': _commit(),
    'python': platform.python_version(),
    'platform': platform.platform(),
    'cpus': os.cpu_count(),
    'backend': jax.default_backend(),
    'device': jax.devices()[0].device_kind,
    'devices': jax.device_count(),
    'hosts': jax.process_count(),
    'packages': {name: version(name) for name in _PACKAGES},
    **facts,
  }


def source() -> dict[str, str | None]:
  """What a result depends on besides the config: our source, and packages."""
  digest = hashlib.blake2b(digest_size=8)
  folder = pathlib.Path(__file__).parents[1]
  for path in sorted(folder.rglob('*.py')):
    digest.update(str(path.relative_to(folder)).encode() + b'\0')
    digest.update(path.read_bytes() + b'\0')
  return {
    'version': resnet_jax.__version__,
    'source': digest.hexdigest(),
    **{name: version(name) for name in _PACKAGES},
  }


def _commit() -> str | None:
  """The commit of the source, with a + where it was edited since."""
  try:
    result = subprocess.run(
      ['git', 'describe', '--always', '--abbrev=12', '--dirty=+'],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return None
  return result.stdout.strip()


def version(package: str) -> str | None:
  """The installed version of a package; None where it is not installed."""
  try:
    return metadata.version(package)
  except metadata.PackageNotFoundError:
    return None
