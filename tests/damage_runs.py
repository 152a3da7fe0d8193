"""The folder of a run, damaged file by file, then looked at and gone on with.

To look at it is `compare`, and the search of `--mode=eval` for checkpoints. To
go on is the same training command again, up to its first step.
"""

import dataclasses
import functools
import json
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax

from resnet_jax import eval_only, experiment, start, train
from resnet_jax.config.file import fields, load_config
from resnet_jax.paper import compare
from resnet_jax.runs import history, lock
from resnet_jax.runs.leaves import flatten
from resnet_jax.runs.meta import hash_json, hashes_of
from resnet_jax.runs.workdir import read_json
from resnet_jax.trainer import Trainer
from tests import command
from tests.damage_kind import Kind, logged, one_by_one

# What a run writes anew whenever it goes on.
_REWRITTEN = ('config.json', 'environment.json', 'sessions.json', '.run.lock')


def runs(folder: pathlib.Path) -> Iterator[tuple[str, Kind]]:
  """The parts of a finished run, written to `folder`, by what is done."""
  folder.mkdir()
  npz, example = folder / 'digits.npz', folder / 'run'
  command.write_digits(npz)
  split = '--config.dataset.validation_examples=40'
  command.run_well(*command.arguments(npz, example, split))
  _write_events(example)
  names = [
    str(path.relative_to(example))
    for path in sorted(example.rglob('*'))
    if path.is_file()
  ]
  parts: dict[str, list[str]] = {}
  for name in names:
    part = '/'.join(name.split('/')[:2])
    part = "TensorBoard's events" if 'tfevents' in name else part
    parts.setdefault(part, []).append(name)
  for part, inside in parts.items():
    yield f'looks at {part}', _kind(example, inside, _look, _judge_look)
  config = load_config('configs/digits_resnet20.py')
  config.update_from_flattened_dict(
    _fields(example) | {'run.tensorboard': False}
  )
  go_on = functools.partial(_go_on, config, experiment.build(config))
  for part, inside in parts.items():
    yield f'goes on with {part}', _kind(example, inside, go_on, _judge_go_on)


def _kind(
  example: pathlib.Path, names: list[str], read: Any, judge: Any
) -> Kind:
  right = _right(example, read)
  return Kind(example, names, one_by_one(read), functools.partial(judge, right))


@functools.cache
def _right(example: pathlib.Path, read: Any) -> Any:
  with tempfile.TemporaryDirectory() as folder:
    return read(shutil.copytree(example, pathlib.Path(folder, 'run')))


def _fields(example: pathlib.Path) -> dict[str, Any]:
  """The fields that the command set, from the config that it wrote."""
  return fields(read_json(example / 'config.json'))


def _write_events(folder: pathlib.Path) -> None:
  import tensorflow as tf

  writer = tf.summary.create_file_writer(str(folder))
  with writer.as_default():
    for step in range(10):
      tf.summary.scalar('train/loss', 1 / (step + 1), step)
  writer.close()


@dataclasses.dataclass(frozen=True)
class Look:
  """What is seen of a run by those who only read."""

  run: compare.Run
  table: str
  newest: dict[str, tuple[int, str]]
  log: list[str]


def _look(folder: pathlib.Path) -> Look:
  with logged() as lines:
    (run,) = compare.find([folder])
    newest = {
      found.path.parent.name: (found.step, found.fingerprint)
      for found in eval_only._newest_of_each(folder)
    }
    table = compare.table([run])
  return Look(run, table, newest, lines)


def _judge_look(right: Look, found: Look) -> tuple[str, str]:
  for name in ('fields', 'data', 'scores', 'hours'):
    if getattr(found.run, name) != getattr(right.run, name):
      return 'lie', f'{name} are {getattr(found.run, name)}'
  if found.run.train_error not in (right.run.train_error, None):
    return 'lie', f'the training error is {found.run.train_error}'
  if not _is_part(found.run.records, right.run.records):
    return 'lie', 'other records'
  less = found.run.records != right.run.records
  for series, (step, fingerprint) in right.newest.items():
    now = found.newest.get(series)
    if now == (step, fingerprint):
      continue
    less = True
    if now and now[0] >= step:
      return 'lie', f'another checkpoint {series}'
  if less and not _is_told(found.log):
    return 'lie', f'something is missing without a word: {found.log}'
  return ('left out', ' '.join(found.log)) if less else ('same', '')


@dataclasses.dataclass(frozen=True)
class GoneOn:
  """What a run has before its first step, and what is no longer there."""

  step: int
  state: str
  best: tuple[int | None, float]
  seconds: dict[str, float]
  records: list[dict[str, Any]]
  log: list[str]
  lost: list[str]


def _go_on(
  config: Any, run: experiment.Experiment, folder: pathlib.Path
) -> GoneOn:
  before = _content(folder)
  with logged() as lines, lock.hold(folder) as held:
    # The data and the network, which no damage of the folder touches.
    with mock.patch.object(experiment, 'build', return_value=run):
      _, series, newest = start.prepare(config, folder)
    trainer = Trainer(
      run,
      train.build_step(run),
      held,
      series,
      newest,
      began=time.monotonic(),
    )
    state = flatten(jax.device_get(trainer._bundle()))
    trainer.close()
  with logged():
    records = history.read_metrics(folder)
  kept, step = set(_content(folder).values()), trainer.first_step
  lost = [
    name
    for name, content in before.items()
    if name not in (*_REWRITTEN, history.FILE) and content not in kept
  ]
  return GoneOn(
    step,
    hash_json(hashes_of(state)),
    (trainer.best_step, trainer.best_error),
    dict(trainer.clock.before),
    records,
    lines,
    lost + _lost_records(before.get(history.FILE, b''), kept, records, step),
  )


def _lost_records(
  before: bytes, kept: set[bytes], records: list[dict[str, Any]], step: int
) -> list[str]:
  """The lines of records up to `step` that are in no file any more."""
  if before in kept:
    return []
  old = [record for line in before.split(b'\n') if (record := _parsed(line))]
  return [
    f'the record {record}'
    for record in old
    if record not in records and record['step'] <= step
  ]


def _parsed(line: bytes) -> dict[str, Any] | None:
  """What is legible of a line, whatever its checksum says."""
  try:
    record = json.loads(line)
    return {k: x for k, x in record.items() if k != 'crc32'} | {
      'step': int(record['step'])
    }
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    return None


def _judge_go_on(right: GoneOn, found: GoneOn) -> tuple[str, str]:
  log = ' '.join(found.log)
  if found.lost:
    return 'lost', f'{found.lost}, {log}'
  newest = found.step == right.step
  if newest and (found.state, found.seconds) != (right.state, right.seconds):
    return 'lie', 'another state'
  if found.best not in (right.best, (None, float('inf'))):
    return 'lie', f'best {found.best}'
  # Those behind an earlier checkpoint come again.
  expected = [r for r in right.records if r['step'] <= found.step]
  if not _is_part(found.records, expected):
    return 'lie', 'other records'
  whole = newest and found.best == right.best and found.records == expected
  if whole:
    return 'same', ''
  if not _is_told(found.log):
    return 'lie', f'something is missing without a word: {log}'
  return 'left out', log


def _is_told(log: list[str]) -> bool:
  return any('damaged' in line or 'are lost' in line for line in log)


def _is_part(records: list[Any], of: list[Any]) -> bool:
  """Whether `records` are some of the others, in their order."""
  rest = iter(of)
  return all(any(record == other for other in rest) for record in records)


def _content(folder: pathlib.Path) -> dict[str, bytes]:
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }
