"""A run of some seconds, to be launched and interrupted."""

import pathlib
import time
from collections.abc import Callable

import numpy as np

from resnet_jax.runs import checkpoint
from tests import command

STEPS = 400


def flags(digits_npz: pathlib.Path, workdir: pathlib.Path) -> list[str]:
  """The flags of the run, which saves every 20 steps."""
  more = [
    f'--config.duration={STEPS}',
    '--config.run.eval_every=200',
    '--config.run.checkpoint_every=20',
  ]
  return [*command.arguments(digits_npz, workdir), *more]


def wait_until(true: Callable[[], object], seconds: float = 300) -> None:
  """Waits until a condition holds."""
  end = time.monotonic() + seconds
  while not true():
    assert time.monotonic() < end
    time.sleep(0.05)


def has_saved(workdir: pathlib.Path, first: int = 0) -> bool:
  """Whether there is a checkpoint of a step above `first`."""
  steps = [
    path.parent.name
    for path in (workdir / 'checkpoints' / 'latest').glob('*/meta')
  ]
  return any(step.isdigit() and int(step) > first for step in steps)


def assert_same_end(one: pathlib.Path, other: pathlib.Path) -> None:
  """Checks that two runs ended with the same arrays, to the bit."""
  a, b = (
    checkpoint.read_step(w / 'checkpoints' / 'latest' / str(STEPS)).arrays
    for w in (one, other)
  )
  assert a.keys() == b.keys()
  for name, x in a.items():
    np.testing.assert_array_equal(x, b[name], err_msg=name)


def children(pid: int) -> list[int]:
  """The processes that a process has started."""
  file = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
  return [int(word) for word in file.read_text().split()]
