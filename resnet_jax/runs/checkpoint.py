"""Checkpoints that are whole or absent, written by Orbax.

A series is a folder with one subfolder a step. Each holds the state, a hash of
every array (Orbax does not notice a flipped bit), and the facts that are needed
to use the state: the config, the classes and the fingerprint of the data, and a
hash of these.
"""

import contextlib
import dataclasses
import logging
import pathlib
import re
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from resnet_jax.errors import PassingError, UserError, first_line, may_pass
from resnet_jax.runs import late_reports
from resnet_jax.runs.leaves import fingerprint, flatten, unflatten
from resnet_jax.runs.meta import (
  DamagedError,
  hash_json,
  hashes_of,
  seal,
  unseal,
)
from resnet_jax.runs.workdir import set_aside
from resnet_jax.waits import waiting_for

_log = logging.getLogger('resnet_jax')


@dataclasses.dataclass(frozen=True)
class Found:
  """A whole checkpoint, read and verified.

  Attributes:
    step: Steps of training that it has behind it.
    path: Its folder, SERIES/STEP.
    arrays: Every array by name, such as `state/params/conv1/kernel`.
    meta: The JSON that was saved beside the state.
  """

  step: int
  path: pathlib.Path
  arrays: dict[str, np.ndarray]
  meta: dict[str, Any]

  @property
  def fingerprint(self) -> str:
    """A hash of all arrays."""
    return hash_json(self.meta.get('hashes') or hashes_of(self.arrays))


class Series:
  """The checkpoints of one folder, by step; of several hosts the first writes.

  Args:
    folder: The series; made if it is not there.
    keep: How many of the newest remain; None keeps all (readers).

  Raises:
    UserError: the folder cannot be written to.
  """

  def __init__(self, folder: str | pathlib.Path, *, keep: int | None) -> None:
    self.folder = pathlib.Path(folder).absolute()
    self._keep = keep
    self._writing = False
    self._manager = self._open()

  def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
    """Starts to write `state`; returns once it is copied to the host.

    Args:
      step: Number of the checkpoint; one of the same number is overwritten.
      state: A pytree of arrays, each whole on this host.
      meta: JSON that `newest` reads back.

    Raises:
      UserError: this checkpoint or the one before it could not be written, or
        `state` is not finite.
    """
    leaves = flatten(jax.device_get(state))
    broken = [name for name, x in leaves.items() if not np.isfinite(x).all()]
    if broken:
      raise UserError(
        f'the state of step {step} is not finite ({broken[0]} and '
        f'{len(broken) - 1} more), so it was not saved; {self.last_good()}. '
        f'Try a lower --config.schedule.learning_rate, in a new --workdir'
      )
    if jax.process_index() != 0:
      return
    args = ocp.args.Composite(
      state=ocp.args.StandardSave(unflatten(leaves)),
      meta=ocp.args.JsonSave(seal(meta, leaves)),
    )
    if not self._writing:  # _open says why a reader's manager will not do
      self._writing = True
      self._manager.close()
      self._manager = self._open()
    try:
      if step in self._manager.all_steps():
        self._manager.delete(step)
      self._manager.save(step, args=args, force=True)
    except jax.errors.JaxRuntimeError:  # no matter of the disk: hosts are lost
      raise
    except Exception as e:  # writing is asynchronous: the last save's, too
      raise self._not_written(e) from e

  def wait(self) -> None:
    """Returns once all that was saved is on disk.

    Raises:
      UserError: it could not be written.
    """
    try:
      self._manager.wait_until_finished()
    except jax.errors.JaxRuntimeError:
      raise
    except Exception as e:
      raise self._not_written(e) from e

  def steps(self) -> list[int]:
    """Steps with a finished checkpoint, rising."""
    return sorted(self._manager.all_steps(read=True))

  def last_good(self) -> str:
    """A clause that names the newest checkpoint, for messages.

    Waits for the one that is being written: the message may be our last word.
    """
    with contextlib.suppress(Exception):  # a write that fails leaves no step
      self._manager.wait_until_finished()
    steps = self.steps()
    if not steps:
      return f'there is no checkpoint in {self.folder} yet'
    return f'the last good checkpoint is {self.folder / str(steps[-1])}'

  def newest(self, *, required: bool = True) -> Found | None:
    """The newest whole checkpoint; None where the folder holds none at all.

    Damaged checkpoints that are newer are named in the log and left out.

    Args:
      required: Whether a series of damaged checkpoints is refused; otherwise
        it is as good as an empty one.

    Raises:
      UserError: there are checkpoints, and none is whole. Nothing is deleted.
    """
    steps = self.steps()
    for step in reversed(steps):
      try:
        return self.read(step)
      except DamagedError as e:
        path = self.folder / str(step)
        _log.warning('%s is damaged and skipped: %s', path, e)
    if not steps or not required:
      return None
    raise UserError(
      f'none of the checkpoints in {self.folder} is whole (steps '
      f'{", ".join(map(str, steps))}); nothing was deleted. Copy them from a '
      f'backup, or begin again with another --workdir'
    )

  def read(self, step: int) -> Found:
    """The checkpoint of `step`.

    Raises:
      DamagedError: it is not there, or not the bytes that were written.
    """
    late_reports.silence()
    try:
      with waiting_for(f'{self.folder / str(step)} to be read'):
        content = self._manager.restore(
          step,
          args=ocp.args.Composite(
            state=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore()
          ),
        )
      meta = unseal(content.meta)
      leaves = traverse_util.flatten_dict(content.state, sep='/')
      leaves = {name: np.asarray(x) for name, x in leaves.items()}
    except DamagedError:
      raise
    except Exception as e:  # damage shows as any of a dozen kinds
      raise DamagedError(first_line(e)) from e
    hashes = meta['hashes']
    if leaves.keys() != hashes.keys():
      raise DamagedError('arrays are missing')
    for name, x in leaves.items():
      if fingerprint(x) != hashes[name]:
        raise DamagedError(f'{name} is not what was written')
    return Found(step, self.folder / str(step), leaves, meta)

  def set_aside_after(self, step: int) -> None:
    """Renames checkpoints newer than `step`, so that training can go on there.

    They are the damaged ones that `newest` left out; N becomes `N.damaged`, or
    `N.damaged-2` ... where that is taken.
    """
    newer = [s for s in self.steps() if s > step]
    if newer and jax.process_index() == 0:
      for s in newer:
        aside = set_aside(self.folder / str(s))
        _log.warning('%s is now %s', self.folder / str(s), aside.name)
    if newer:
      self._manager.reload()

  def close(self) -> None:
    """Ends Orbax's threads; waits for nothing that is being written."""
    self._manager.close()

  def _open(self) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
      max_to_keep=self._keep,
      # Half-written leftovers of a kill are deleted by a series that writes,
      # and not before: to a reader they may be what a run is writing now. Orbax
      # deletes them in a thread, which an error before the first save would
      # cut short.
      cleanup_tmp_directories=self._writing,
      enable_async_checkpointing=True,
      create=False,
      multiprocessing_options=_alone(),
    )
    for path in (self.folder, self.folder.parent):
      if path.exists() and not path.is_dir():  # Orbax takes it for empty
        raise self._not_opened(f'{path} is no folder')
    try:
      self.folder.mkdir(parents=True, exist_ok=True)
      return ocp.CheckpointManager(self.folder, options=options)
    except OSError as e:
      raise self._not_opened(e.strerror or str(e)) from e

  def _not_opened(self, reason: str) -> UserError:
    return UserError(
      f'checkpoints cannot be kept in {self.folder}: {reason}. Name another '
      f'folder (in training, --workdir=DIR)'
    )

  def _not_written(self, error: Exception) -> UserError:
    """What to raise where Orbax could not write."""
    # The system's own reason stands at the end of what the layers add.
    reason = ' '.join(str(error).split()).split(': ')[-1]
    # TensorStore's errors are no OSErrors, and have the number in their text.
    code = re.search(r" \[os_error_code='(\d+)'", reason)
    number = int(code[1]) if code else None
    reason = reason[: code.start()] if code else reason
    if isinstance(error, OSError) and error.strerror:
      reason, number = error.strerror, error.errno
    kind = PassingError if may_pass(number) else UserError
    return kind(
      f'a checkpoint could not be written to {self.folder}: '
      f'{reason or type(error).__name__}. Is the disk full, read-only or gone? '
      f'Mend that and run the same command again; {self.last_good()}'
    )


def _alone() -> ocp.options.MultiprocessingOptions:
  """Each host reads for itself, and the first one writes.

  Every host has the whole state. Where all took part in writing, one that could
  not write would leave the others in barriers of Orbax for minutes.
  """
  if jax.process_count() == 1:
    return ocp.options.MultiprocessingOptions()
  host = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=host,
    active_processes={host},
    barrier_sync_key_prefix=f'host{host}',
  )


def read_step(path: str | pathlib.Path) -> Found:
  """One checkpoint, by its folder SERIES/STEP.

  Raises:
    UserError: there is no such checkpoint, or it is damaged.
  """
  path = pathlib.Path(path).absolute()
  if not path.is_dir() or not path.name.isdigit():
    raise UserError(
      f'{path} is no checkpoint: it should be a folder SERIES/STEP'
    )
  series = Series(path.parent, keep=None)
  try:
    return series.read(int(path.name))
  except DamagedError as e:
    raise UserError(f'{path} is damaged or no checkpoint of ours: {e}') from e
  finally:
    series.close()
