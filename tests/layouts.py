"""One run on many layouts, hosts x devices, as processes on the loopback."""

import pathlib
from collections.abc import Sequence

import numpy as np

from tests import command
from tests.data.streamed.pictures import SMALL
from tests.hosts.processes import Hosts


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


def results(
  folder: pathlib.Path, words: Sequence[str], *, hosts: int, devices: int
) -> dict[str, np.ndarray]:
  """What `tests.devices_run` finds: all batches, the rest of the first host.

  All hosts must have found the same state and counts.
  """
  files = [folder / f'{hosts}x{devices}-{i}.npz' for i in range(hosts)]
  words_of_hosts = [(file, *words) for file in files]
  module = 'tests.devices_run'
  with Hosts(*words_of_hosts, devices=devices, module=module) as job:
    codes, outputs, _ = job.ended()
  assert codes == [0] * hosts, outputs
  found = []
  for file in files:
    with np.load(file) as content:
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
