"""Damaged files of every kind that the project reads, and what becomes of them.

  python -m tests.damage --count=2000 --seed=0

Each kind has a good file, a way to read it, and what is read from it. A file is
damaged in one way at random (bits flipped, cut short, overwritten, replaced by
something else), and read again. Right is a `UserError`, the same content as
before, or, where the format has no checksum, any content of the right form; a
damage that cannot be told from a good file. Wrong is every other exception, and
content that differs where a checksum would have shown it.
"""

import argparse
import collections
import dataclasses
import io
import json
import pathlib
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from resnet_jax.errors import UserError
from tests.damaged import damaged

# One damage in so many puts another content in place of the right one.
_REPLACED = 6


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of file.

  Attributes:
    files: The files of a good example, any of which is damaged.
    root: The file or folder that `read` is given.
    read: Reads it, and returns what it holds as a comparable value.
    checked: Whether the format notices a change of its content.
  """

  files: list[pathlib.Path]
  root: pathlib.Path
  read: Callable[[pathlib.Path], Any]
  checked: bool


def another(rng: np.random.Generator) -> bytes:
  """What stands in a file that was never the right one."""
  others = [
    b'',
    b'\n',
    b'null',
    b'{}',
    b'[[[[[]]]]]',
    b'<!DOCTYPE html><html><body>404 Not Found</body></html>',
    b'\xff\xfe' + 'kein JSON'.encode('utf-16-le'),
    b'PK\x03\x04' + rng.bytes(64),
    b'\x89PNG\r\n\x1a\n' + rng.bytes(64),
    rng.bytes(1000),
  ]
  return others[rng.integers(len(others))]


def kinds(folder: pathlib.Path) -> dict[str, Kind]:
  """A good example of each kind, written to `folder`."""
  found = dict(_arrays_and_weights(folder))
  found['checkpoint'] = _checkpoint(folder / 'series')
  found['records'] = _records(folder / 'run')
  for suffix in ('jpg', 'png', 'bmp', 'webp'):
    found[suffix] = _picture(folder, suffix)
  return found


def trial(kind: Kind, right: Any, rng: np.random.Generator) -> tuple[str, str]:
  """Damages a file, reads it, mends it.

  Returns:
    The outcome, and what was done: 'refused' by a `UserError`; 'same' content;
    'other' content, which only a format without checksum may give; 'lie', other
    content where there is one; 'traceback', any other exception.
  """
  file = kind.files[rng.integers(len(kind.files))]
  before = file.read_bytes()
  if rng.integers(_REPLACED) and before:
    seed = int(rng.integers(2**31))
    after, done = damaged(before, seed), f'damage {seed} of {file.name}'
  else:
    after, done = another(rng), f'another content of {file.name}'
  file.write_bytes(after)
  try:
    found = kind.read(kind.root)
  except UserError as e:
    lines = str(e).splitlines()
    return ('refused', done) if lines else ('traceback', f'{done}: no message')
  except Exception:
    return 'traceback', f'{done}: {traceback.format_exc(limit=-3)}'
  finally:
    file.write_bytes(before)
  if _equal(found, right):
    return 'same', done
  return ('lie' if kind.checked else 'other'), done


def run(
  count: int, seed: int, folder: pathlib.Path
) -> tuple[dict[str, collections.Counter[str]], list[str]]:
  """Outcomes by kind of `count` trials in turn, and what was wrong."""
  good = kinds(folder)
  right = {name: kind.read(kind.root) for name, kind in good.items()}
  outcomes = {name: collections.Counter[str]() for name in good}
  wrong = []
  for number in range(count):
    name = list(good)[number % len(good)]
    rng = np.random.default_rng((seed, number))
    outcome, done = trial(good[name], right[name], rng)
    outcomes[name][outcome] += 1
    if outcome in ('lie', 'traceback'):
      wrong.append(f'{name}, trial {number}, {outcome}: {done}')
  return outcomes, wrong


def _arrays_and_weights(
  folder: pathlib.Path,
) -> Iterator[tuple[str, Kind]]:
  import jax

  from resnet_jax import models, weights
  from resnet_jax.data.resident.sources import from_npz
  from tests.command import write_digits

  digits = folder / 'digits.npz'
  write_digits(digits)
  yield 'arrays', Kind([digits], digits, _images(from_npz), True)
  model = models.create('cifar_resnet8')
  variables = model.init(jax.random.key(0), np.zeros((1, 32, 32, 3)))
  arrays = weights.from_variables(variables, model)
  npz = folder / 'weights.npz'
  np.savez(npz, **arrays)
  yield 'weights .npz', Kind([npz], npz, weights.read, True)
  file = folder / 'weights.safetensors'
  weights.write_safetensors(file, arrays)
  read = _weights(weights.read_checkpoint)
  yield 'weights .safetensors', Kind([file], file, read, False)
  ours = folder / 'ours.safetensors'
  weights.export_checkpoint(file, ours)
  yield 'exported weights', Kind([ours], ours, read, True)


def _images(from_npz: Callable[[str], Any]) -> Callable[[pathlib.Path], Any]:
  return lambda file: from_npz(str(file)).fingerprint()


def _weights(
  read_checkpoint: Callable[[pathlib.Path], Any],
) -> Callable[[pathlib.Path], Any]:
  def read(file: pathlib.Path) -> Any:
    found = read_checkpoint(file)
    meta = {k: v for k, v in found.meta.items() if k != 'data'}
    return found.arrays | {'meta': json.dumps(meta)}

  return read


def _checkpoint(series: pathlib.Path) -> Kind:
  from resnet_jax.runs import checkpoint

  rng = np.random.default_rng(0)
  state = {
    'params': {f'w{i}': rng.standard_normal((i, 7)) for i in range(1, 4)}
  }
  writer = checkpoint.Series(series, keep=1)
  meta = {'config': {'seed': 1}, 'data': 'some', 'class_names': ['a', 'b']}
  writer.save(3, {'state': state}, meta)
  writer.wait()
  writer.close()
  step = series / '3'

  def read(path: pathlib.Path) -> Any:
    found = checkpoint.read_step(path)
    return found.arrays | {'meta': json.dumps(found.meta, sort_keys=True)}

  files = sorted(f for f in step.rglob('*') if f.is_file())
  return Kind(files, step, read, True)


def _records(run: pathlib.Path) -> Kind:
  from resnet_jax.runs.history import read_metrics

  run.mkdir()
  file = run / 'metrics.jsonl'
  lines = [
    {'step': step, 'split': split, 'loss': 1 / step, 'error': 0.5}
    for step in range(10, 200, 10)
    for split in ('train', 'test')
  ]
  file.write_text(''.join(json.dumps(line) + '\n' for line in lines))
  return Kind([file], run, read_metrics, False)


def _picture(folder: pathlib.Path, suffix: str) -> Kind:
  from PIL import Image

  from resnet_jax.data.streamed.records import FileRecords
  from resnet_jax.data.streamed.view_reader import ViewReader
  from resnet_jax.data.views import Views

  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
  stream = io.BytesIO()
  form = {'jpg': 'JPEG'}.get(suffix, suffix.upper())
  Image.fromarray(pixels).save(stream, form)
  file = folder / f'picture.{suffix}'
  file.write_bytes(stream.getvalue())

  def read(path: pathlib.Path) -> Any:
    records = FileRecords.of([str(path)], [0])
    reader = ViewReader(
      records, antialias=False, max_damaged=0, host=0, hosts=1
    )
    views = Views('single', (32,), 32)
    return {'crop': next(iter(reader.parts(views, 1))).images}

  return Kind([file], file, read, False)


def _equal(found: Any, right: Any) -> bool:
  if isinstance(right, dict):
    return found.keys() == right.keys() and all(
      np.array_equal(found[key], right[key]) for key in right
    )
  return bool(found == right)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--count', type=int, default=2000)
  parser.add_argument('--seed', type=int, default=0)
  arguments = parser.parse_args()
  folder = pathlib.Path(tempfile.mkdtemp())
  try:
    outcomes, wrong = run(arguments.count, arguments.seed, folder)
  finally:
    shutil.rmtree(folder)
  names = ('refused', 'same', 'other', 'lie', 'traceback')
  print(f'| kind | {" | ".join(names)} |')
  print('|---' * (len(names) + 1) + '|')
  for name, counter in outcomes.items():
    print(f'| {name} | {" | ".join(str(counter[n]) for n in names)} |')
  print('\n'.join(wrong))
  sys.exit(bool(wrong))


if __name__ == '__main__':
  main()
