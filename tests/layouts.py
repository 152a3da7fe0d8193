"""One run on many layouts, hosts x devices, as processes on the loopback."""

import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from tests import command
from tests.data.streamed.pictures import SMALL


def digits(npz: pathlib.Path) -> tuple[str, ...]:
  """The flags of a run on digits."""
  return (
    *command.TINY,
    f'--config.dataset.npz={npz}',
    '--config.duration=50 steps',
    '--config.augment.flip=True',
  )


def pictures(folder: pathlib.Path) -> tuple[str, ...]:
  """The flags of a run on pictures of many sizes."""
  return (
    *SMALL,
    f'--config.dataset.folder={folder}',
    '--config.duration=50 steps',
  )


def free_port() -> int:
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def start(
  words: Sequence[str],
  *,
  hosts: int,
  devices: int,
  module: str = 'resnet_jax.main',
) -> list[subprocess.Popen]:
  """Starts `python -m MODULE` with `words` once for each host.

  HOST in a word stands for the number of the host.
  """
  own = [[]]
  if hosts > 1:
    job = [f'--coordinator=127.0.0.1:{free_port()}', f'--num_hosts={hosts}']
    own = [[*job, f'--host={i}'] for i in range(hosts)]
  variables = {
    'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
    'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',  # the nets are tiny
  }
  return [
    subprocess.Popen(
      [
        sys.executable,
        '-m',
        module,
        *(str(word).replace('HOST', str(i)) for word in words),
        *more,
      ],
      cwd=command.ROOT,
      env=os.environ | variables,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for i, more in enumerate(own)
  ]


def ended(processes: Sequence[subprocess.Popen]) -> list[tuple[int, str]]:
  """The exit code and the output of each; none outlives the call."""
  try:
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    return [
      (process.returncode, out)
      for process, out in zip(processes, outputs, strict=True)
    ]
  finally:
    for process in processes:
      process.kill()
      process.communicate()


def results(
  folder: pathlib.Path, words: Sequence[str], *, hosts: int, devices: int
) -> dict[str, np.ndarray]:
  """What `tests.devices_run` finds: all batches, the rest of the first host.

  All hosts must have found the same state and counts.
  """
  out = folder / f'{hosts}x{devices}-HOST.npz'
  for code, text in ended(
    start(
      (out, *words), hosts=hosts, devices=devices, module='tests.devices_run'
    )
  ):
    assert code == 0, text
  found = []
  for i in range(hosts):
    with np.load(str(out).replace('HOST', str(i))) as content:
      found.append(dict(content))
  batches = [one.pop('batches') for one in found]
  for one in found[1:]:
    assert one.keys() == found[0].keys()
    for name, x in found[0].items():
      np.testing.assert_array_equal(one[name], x, err_msg=name)
  return found[0] | {'batches': np.concatenate(batches)}


def distance(x: np.ndarray, y: np.ndarray) -> float:
  """The distance of two arrays, relative to the norm of the second."""
  return float(np.linalg.norm(x - y) / max(np.linalg.norm(y), 1e-30))


def furthest(
  ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]
) -> float:
  """The largest `distance` of the arrays of two states."""
  assert ours.keys() == theirs.keys()
  names = [name for name in ours if name.startswith('state/')]
  assert len(names) > 20
  return max(distance(ours[name], theirs[name]) for name in names)
