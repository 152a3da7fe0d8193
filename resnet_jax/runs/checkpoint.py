"""Checkpoints that are whole or absent, written by Orbax.

A series is a folder with one subfolder a step. Next to the state, each holds a
hash of every leaf, for Orbax does not notice a flipped bit, and what one must
know to use the state: the config and the fingerprint of the data.
"""

import contextlib
import dataclasses
import hashlib
import logging
import pathlib
from typing import Any, ClassVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import serialization, traverse_util

from resnet_jax.errors import UserError

_log = logging.getLogger('resnet_jax')


@dataclasses.dataclass(frozen=True)
class Found:
  """A whole checkpoint: arrays by name, and what was said of them."""

  step: int
  path: pathlib.Path
  arrays: dict[str, np.ndarray]
  meta: dict[str, Any]


class Series:
  """The checkpoints of one folder, by step.

  One series at a time is being written to.

  Args:
    folder: made if it is not there.
    keep: how many of the newest remain; None: all, as for one who only reads.

  Raises:
    UserError: the folder cannot be written to.
  """

  # That of this process which was saved to last.
  _last: 'ClassVar[Series | None]' = None

  def __init__(self, folder: str | pathlib.Path, *, keep: int | None) -> None:
    self.folder = pathlib.Path(folder).absolute()
    self._keep = keep
    self._writing = False
    self._manager = self._open()

  def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
    """Starts to write `state`; returns once it is copied to the host.

    Args:
      step: overwrites a checkpoint of the same step.
      state: a pytree of arrays that are whole on this host.
      meta: JSON; read back by `newest`.

    Raises:
      UserError: this checkpoint or the one before it could not be written, or
        `state` is not finite.
    """
    tree = flatten(jax.device_get(state))
    broken = [name for name, x in tree.items() if not np.isfinite(x).all()]
    if broken:
      raise UserError(
        f'the state of step {step} is not finite ({broken[0]} and '
        f'{len(broken) - 1} more), so it was not saved; {self.last_good()}. '
        f'Try a lower --config.schedule.learning_rate, in a new --workdir'
      )
    meta = meta | {'hashes': {name: _hash(x) for name, x in tree.items()}}
    args = ocp.args.Composite(
      state=ocp.args.StandardSave(traverse_util.unflatten_dict(tree, sep='/')),
      meta=ocp.args.JsonSave(meta),
    )
    self._wait_for_others()
    if not self._writing:  # see _open
      self._writing = True
      self._manager.close()
      self._manager = self._open()
    try:
      if step in self._manager.all_steps():
        self._manager.delete(step)
      self._manager.save(step, args=args, force=True)
    except Exception as e:  # of this write or, being asynchronous, the last
      raise self._not_written(e) from e

  def wait(self) -> None:
    """Returns once what was saved is on disk.

    Raises:
      UserError: it could not be written.
    """
    try:
      self._manager.wait_until_finished()
    except Exception as e:
      raise self._not_written(e) from e

  def steps(self) -> list[int]:
    """Steps with a finished checkpoint, rising."""
    return sorted(self._manager.all_steps(read=True))

  def last_good(self) -> str:
    """A clause that names the newest checkpoint, for messages.

    Waits for the one that is being written: the message may be our last word.
    """
    with contextlib.suppress(Exception):  # of that write, which is no good then
      self._manager.wait_until_finished()
    steps = self.steps()
    if not steps:
      return f'there is no checkpoint in {self.folder} yet'
    return f'the last good checkpoint is {self.folder / str(steps[-1])}'

  def newest(self) -> 'Found | None':
    """The newest whole checkpoint; None where the folder holds none at all.

    Damaged checkpoints that are newer are named in the log and left out.

    Raises:
      UserError: there are checkpoints, and none is whole. Nothing is deleted.
    """
    steps = self.steps()
    for step in reversed(steps):
      try:
        return self._read(step)
      except _DamagedError as e:
        path = self.folder / str(step)
        _log.warning('%s is damaged and skipped: %s', path, e)
    if not steps:
      return None
    raise UserError(
      f'none of the checkpoints in {self.folder} is whole (steps '
      f'{", ".join(map(str, steps))}); nothing was deleted. Copy them from a '
      f'backup, or begin again with another --workdir'
    )

  def set_aside_after(self, step: int) -> None:
    """Renames checkpoints newer than `step`, so that training can go on there.

    They are the damaged ones that `newest` left out; N becomes `N.damaged`.
    """
    newer = [s for s in self.steps() if s > step]
    if newer and jax.process_index() == 0:
      for s in newer:
        path = self.folder / str(s)
        path.rename(path.with_name(f'{s}.damaged'))
    if newer:
      self._manager.reload()

  def close(self) -> None:
    if Series._last is self:
      Series._last = None
    self._manager.close()

  def _wait_for_others(self) -> None:
    """Returns once no other series of this process is being written to.

    Orbax numbers the barriers of hosts in one count over all its managers.
    Where two of them save at once, threads draw those numbers in an order that
    differs between hosts, which then wait for each other for ever.
    """
    last, Series._last = Series._last, self
    if last not in (None, self):
      last.wait()

  def _open(self) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
      max_to_keep=self._keep,
      # What a kill left half written goes when we write, and no sooner: to one
      # who only reads, it may be what a run is writing now. And it goes in a
      # thread, which an error before the first save would cut short.
      cleanup_tmp_directories=self._writing,
      enable_async_checkpointing=True,
    )
    try:
      return ocp.CheckpointManager(self.folder, options=options)
    except OSError as e:
      raise UserError(
        f'checkpoints cannot be kept in {self.folder}: {e.strerror or e}. Name '
        f'another folder (in training, --workdir=DIR)'
      ) from e

  def _read(self, step: int) -> 'Found':
    try:
      content = self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore()
        ),
      )
      meta = content.meta
      tree = traverse_util.flatten_dict(content.state, sep='/')
      tree = {name: np.asarray(x) for name, x in tree.items()}
      hashes = meta['hashes']
    except Exception as e:  # damage shows as any of a dozen kinds
      text = str(e).strip() or type(e).__name__
      raise _DamagedError(text.splitlines()[0][:200]) from e
    if tree.keys() != hashes.keys():
      raise _DamagedError('arrays are missing')
    for name, x in tree.items():
      if _hash(x) != hashes[name]:
        raise _DamagedError(f'{name} is not what was written')
    return Found(step, self.folder / str(step), tree, meta)

  def _not_written(self, error: Exception) -> UserError:
    # The system's own reason stands at the end of what the layers add.
    reason = ' '.join(str(error).split()).split(': ')[-1]
    return UserError(
      f'a checkpoint could not be written to {self.folder}: '
      f'{reason or type(error).__name__}. Is the disk full? Make room and '
      f'run the same command again; {self.last_good()}'
    )


class _DamagedError(Exception):
  """A checkpoint that is not what was written."""


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
    return series._read(int(path.name))
  except _DamagedError as e:
    raise UserError(f'{path} is damaged or no checkpoint of ours: {e}') from e
  finally:
    series.close()


def flatten(state: Any) -> dict[str, np.ndarray]:
  """Every leaf by its name, such as `params/conv1/kernel`."""
  tree = traverse_util.flatten_dict(serialization.to_state_dict(state), sep='/')
  return {name: np.asarray(x) for name, x in tree.items()}


def fill(
  template: Any, tree: dict[str, np.ndarray], source: pathlib.Path
) -> Any:
  """The structure of `template` with the leaves of `tree`.

  Raises:
    UserError: they are not of one network; names what differs.
  """
  empty = traverse_util.flatten_dict(
    serialization.to_state_dict(template), keep_empty_nodes=True, sep='/'
  )
  wanted = {k: v for k, v in empty.items() if v is not traverse_util.empty_node}
  differences = [
    *(f'lacks {name}' for name in wanted if name not in tree),
    *(
      f'has {name}, which is unknown here'
      for name in tree
      if name not in wanted
    ),
    *(
      f'{name} is {_kind(tree[name])} and not {_kind(wanted[name])}'
      for name in wanted
      if name in tree and _kind(tree[name]) != _kind(wanted[name])
    ),
  ]
  if differences:
    more = len(differences) - 5
    raise UserError(
      f'{source} is the checkpoint of another network or optimizer: it '
      f'{"; it ".join(differences[:5])}{f"; and {more} more" * (more > 0)}. '
      f'Use the config that it was made with, or another --workdir'
    )
  filled = traverse_util.unflatten_dict(empty | tree, sep='/')
  return serialization.from_state_dict(template, filled)


def _kind(x: Any) -> str:
  return f'{np.dtype(x.dtype)}{list(x.shape)}'


def _hash(x: np.ndarray) -> str:
  digest = hashlib.blake2b(digest_size=16)
  digest.update(f'{x.dtype}{x.shape}'.encode())
  digest.update(np.ascontiguousarray(x).tobytes())
  return digest.hexdigest()
