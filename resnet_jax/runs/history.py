"""The lines of a run's metrics.jsonl: read, and opened to be added to."""

import json
import logging
import os
import pathlib
import shutil
import zlib
from typing import IO, Any

from resnet_jax.errors import UserError
from resnet_jax.runs.workdir import free_name, set_aside

_log = logging.getLogger('resnet_jax')

FILE = 'metrics.jsonl'
# Beyond these a float no longer counts them.
_MOST_STEPS = 2**53
# The last name in a line: a checksum of what stands before it.
_CHECK = 'crc32'


def read_metrics(
  workdir: pathlib.Path, *, warn: bool = True
) -> list[dict[str, Any]]:
  """The records of `metrics.jsonl`; an empty list if there is no such file.

  Lines that are damaged, or no records, are left out.

  Args:
    workdir: The folder of the run.
    warn: Whether the log names them; not of use while a run writes.
  """
  lines, damaged = _read(workdir / FILE)
  if damaged and warn:
    _log.warning(
      '%s: line%s %s damaged or no record, and left out',
      workdir / FILE,
      's' * (len(damaged) > 1),
      _numbers(damaged),
    )
  return [record for _, record in lines]


def open_metrics(
  workdir: pathlib.Path, first_step: int, *, every: int | None = None
) -> IO[str]:
  """The file of the records, to add to after `first_step`.

  Records after that step are from a session that was cut, and are dropped:
  they come again. A file with damaged lines is kept under another name.

  Args:
    workdir: The folder of the run.
    first_step: The step that training goes on from.
    every: Steps between two records of training; tells whether some are lost.
  """
  path = workdir / FILE
  lines, damaged = _read(path)
  _warn_of_lost(path, [record for _, record in lines], first_step, every)
  kept = [line for line, record in lines if record['step'] <= first_step]
  if damaged or len(kept) < len(lines) or not _ends_a_line(path):
    # Written beside and moved, so that a kill leaves the old or the new.
    draft = path.with_suffix('.draft')
    draft.write_bytes(b''.join(line + b'\n' for line in kept))
    if damaged:
      old = shutil.copyfile(path, free_name(path))
      _log.warning(
        '%s: line%s %s damaged or no record; the run goes on with the others, '
        'and the old file is kept as %s',
        path,
        's' * (len(damaged) > 1),
        _numbers(damaged),
        old.name,
      )
    draft.rename(path)
  return path.open('a', encoding='utf-8')


def line_of(record: dict[str, Any]) -> str:
  """A record as a line of the file, with a checksum that readers take away."""
  return json.dumps(record | {_CHECK: _checksum(record)}) + '\n'


def check_there(file: IO[str]) -> None:
  """Refuses to write records that nobody could read.

  Raises:
    UserError: the file was moved, deleted or replaced in mid-run.
  """
  try:
    same = os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
  except OSError:
    same = False
  if not same:
    raise UserError(
      f'{file.name} was moved, deleted or replaced in mid-run, and with it '
      f'the records of this run. Put it back; the same command goes on from '
      f'the last checkpoint'
    )


def check_no_results(workdir: pathlib.Path) -> None:
  """Refuses to begin anew over the results of a run without checkpoints.

  Raises:
    UserError: `workdir` holds the results of a run.
  """
  if (workdir / 'results.json').exists():
    raise UserError(
      f'--workdir {workdir} holds the results of a run, and '
      f'{workdir / "checkpoints" / "latest"} no checkpoint to go on from; '
      f'training anew would overwrite them. Put the checkpoints back, move the '
      f'folder away, or name another --workdir'
    )


def set_old_aside(workdir: pathlib.Path) -> None:
  """Keeps what a run left that has no checkpoint to go on from.

  Its records and its best checkpoint would be taken for the new run's.
  """
  names = (FILE, 'checkpoints/best', 'checkpoints/recomputed')
  moved = [
    set_aside(path, 'old').name
    for path in (workdir / name for name in names)
    if _holds_something(path)
  ]
  if moved:
    _log.warning(
      '%s holds what an earlier run left, and no checkpoint of it to go on '
      'from: training begins at step 0. What was there is kept as %s; if the '
      'checkpoints are elsewhere, stop this run and put them back into '
      'checkpoints/latest',
      workdir,
      ', '.join(moved),
    )


def _read(
  path: pathlib.Path,
) -> tuple[list[tuple[bytes, dict[str, Any]]], list[int]]:
  """The lines of a file with their records, and the numbers of the others.

  Lines of 0.1 and 0.2 have no checksum; behind one that has, all have.
  """
  lines, damaged, checked = [], [], False
  if path.is_file():
    for number, line in enumerate(path.read_bytes().split(b'\n'), 1):
      record = _parse(line)
      if record is not None:
        # By its place, so that damage to the name leaves no unchecked line.
        *names, last = record
        facts = {name: record[name] for name in names}
        if record[last] == _checksum(facts):
          record, checked = facts, True
        elif checked or _CHECK in record:
          record = None
      if record is not None:
        lines.append((line, record))
      elif line.strip():
        damaged.append(number)
  return lines, damaged


def _warn_of_lost(
  path: pathlib.Path,
  records: list[dict[str, Any]],
  step: int,
  every: int | None,
) -> None:
  """Names the steps before `step` whose records are gone without a trace."""
  before = [r['step'] for r in records if r['split'] == 'train']
  last = max([s for s in before if s <= step], default=0)
  if every and step - last >= every:
    _log.warning(
      '%s: the records of steps %s to %s are lost; those that come are added',
      path,
      f'{last + 1:,}',
      f'{step:,}',
    )


def _parse(line: bytes) -> dict[str, Any] | None:
  try:
    record = json.loads(line.decode('utf-8'))
    step, split, error = record['step'], record['split'], record['error']
    # A bool would pass for a number.
    kinds = type(step) is int, type(split) is str, type(error) in (int, float)
    if all(kinds) and 0 <= step < _MOST_STEPS and 0 <= error <= 1:
      return record
  except (ValueError, KeyError, TypeError, RecursionError):
    pass
  return None


def _checksum(record: dict[str, Any]) -> str:
  """A hash of the values, however another program may have written them."""
  return f'{zlib.crc32(json.dumps(record).encode()):08x}'


def _holds_something(path: pathlib.Path) -> bool:
  if path.is_dir():
    return any(path.iterdir())
  return path.exists() and path.stat().st_size > 0


def _ends_a_line(path: pathlib.Path) -> bool:
  """Whether a line that is added to the file is one of its own."""
  if not path.exists() or path.stat().st_size == 0:
    return True
  with path.open('rb') as file:
    file.seek(-1, 2)
    return file.read(1) == b'\n'


def _numbers(lines: list[int]) -> str:
  words = ', '.join(map(str, lines[:10]))
  more = f' and {len(lines) - 10} more' * (len(lines) > 10)
  return f'{words}{more} {"are" if len(lines) > 1 else "is"}'
