"""Trains any config over seeds and fields, each run in a folder of its own.

A run that is finished is not repeated, and one that was cut goes on.
"""

import dataclasses
import functools
import itertools
import pathlib
import re
from collections.abc import Sequence

import ml_collections
from absl import flags
from ml_collections import config_flags

from resnet_jax.config import checks, shipped
from resnet_jax.config.file import (
  check_overrides,
  load_config,
  result_changes,
  set_none,
  to_json,
)
from resnet_jax.errors import UserError
from resnet_jax.paper.processes import Processes, locked
from resnet_jax.runs import history
from resnet_jax.runs.workdir import make_workdir, read_json


@dataclasses.dataclass(frozen=True)
class Repetition:
  """A run: its folder, and its config as flags of `resnet_jax.main`."""

  folder: pathlib.Path
  flags: tuple[str, ...]
  config: ml_collections.ConfigDict

  def is_done(self) -> bool:
    """Whether the folder holds the results of this config.

    Raises:
      UserError: they are those of another.
    """
    file = self.folder / 'results.json'
    if not file.exists():
      return False
    try:
      old = read_json(file)['config']
    except (OSError, ValueError, KeyError, TypeError):
      return False  # damaged: the run writes it anew from its checkpoint
    if changes := result_changes(old, to_json(self.config)):
      words = [f'config.{k} {a!r}, not {b!r}' for k, (a, b) in changes.items()]
      raise UserError(
        f'{self.folder} is a run of {"; ".join(words)}; name another folder '
        f'with --runs=DIR'
      )
    return True


def expand(
  name: str,
  *,
  root: pathlib.Path,
  seeds: int,
  fixed: Sequence[str] = (),
  varied: Sequence[Sequence[str]] = (),
) -> list[Repetition]:
  """All combinations of the values of fields, with seeds 0, 1, ...

  Args:
    name: The config file, or the name of a shipped one.
    root: Folder of the runs' folders.
    seeds: How many.
    fixed: FIELD=VALUE, for all runs.
    varied: For each field to vary, its name and its values.

  Raises:
    UserError: no such config or field, or a value that it cannot have.
  """
  file = shipped.find(name)
  for word in fixed:
    if '=' not in word:
      raise UserError(f'--set {word} must be FIELD=VALUE')
  for field, *values in varied:
    if not values:
      raise UserError(f'--vary {field} needs values: --vary FIELD VALUE ...')
  axes = [[f'{field}={value}' for value in values] for field, *values in varied]
  axes.append([f'seed={seed}' for seed in range(seeds)])
  return [
    _repetition(file, root, [*fixed, *chosen], chosen)
    for chosen in itertools.product(*axes)
  ]


def run(
  runs: Sequence[Repetition], root: pathlib.Path, *, parallel: int
) -> dict[str, str]:
  """Trains those of `runs` that are not finished; returns failures by name.

  Raises:
    UserError: a folder holds a run of another config.
    Interrupted: SIGTERM, SIGINT or SIGHUP; what was running has saved.
  """
  make_workdir(root, '--runs')
  left = [one for one in runs if not one.is_done()]

  def progress() -> str:
    done = len(runs) - sum(not one.is_done() for one in left)
    steps = [_step(one) for one in left]
    return f'{done}/{len(runs)} runs; {sum(steps):,} steps of the others'

  with Processes(parallel, root / '.compiled') as processes:
    tasks = {
      one.folder.name: functools.partial(_train, one, processes) for one in left
    }
    return processes.do(tasks, progress)


def _train(one: Repetition, processes: Processes) -> None:
  make_workdir(one.folder, '--runs')
  with locked(one.folder) as lock:
    processes.run(
      ['resnet_jax.main', *one.flags, f'--workdir={one.folder}'],
      one.folder / 'log.txt',
      output=one.folder / 'results.json',
      inherited=[lock],
    )


def _repetition(
  file: pathlib.Path,
  root: pathlib.Path,
  words: Sequence[str],
  chosen: Sequence[str],
) -> Repetition:
  own = [f'--config={file}', *(f'--config.{word}' for word in words)]
  config = load_config(str(file))
  check_overrides(config, own)
  holder = flags.FlagValues()
  argv = ['repeat', *own[1:]]
  config_flags.DEFINE_config_dict(
    'config', config, flag_values=holder, sys_argv=argv
  )
  try:
    holder(argv)
  except (flags.Error, ValueError, TypeError) as e:
    raise UserError(f'{e}'.strip()) from e
  set_none(holder.config)
  checks.check(holder.config)
  parts = [word.split('.')[-1].replace('=', '') for word in chosen]
  name = re.sub(r'[^\w.+-]+', '_', '-'.join([file.stem, *parts]))
  return Repetition(root / name, tuple(own), holder.config)


def _step(one: Repetition) -> int:
  records = history.read_metrics(one.folder)
  return records[-1]['step'] if records else 0
