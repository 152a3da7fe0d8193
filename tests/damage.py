"""Damaged files of every kind that the project reads, and what becomes of them.

  python -m tests.damage --count=2400 --seed=0
  python -m tests.damage runs --kinds='goes on' --verbose

Each kind has a good example, a file or a folder, and a way to read it. A file
of it is damaged in one way at random (bits flipped, cut short, overwritten,
lengthened, replaced by something else), and read again. What comes of it:

  refused     an error for the user, one paragraph
  same        as if nothing had happened
  left out    the damaged part is named, left out and kept; the rest is right
  other       other content, of a format that has no checksum to show it
  lie         other content, where something should have shown it
  lost        something that was whole is gone
  traceback   any other exception

The last three are errors.
"""

import argparse
import collections
import contextlib
import logging
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence

# TensorFlow reads this when it is imported.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import numpy as np

from resnet_jax.errors import UserError
from tests.damage_files import files
from tests.damage_kind import Kind
from tests.damage_runs import runs
from tests.damaged import damaged

OUTCOMES = (
  'refused',
  'same',
  'left out',
  'other',
  'lie',
  'lost',
  'traceback',
)
WRONG = OUTCOMES[-3:]

# One damage in so many puts another content in place of the right one.
_REPLACED = 6


def kinds(
  folder: pathlib.Path, parts: Sequence[str] = ('files', 'runs')
) -> dict[str, Kind]:
  """The kinds of each part, their good examples written to `folder`."""
  found: dict[str, Kind] = {}
  for part in parts:
    found |= {'files': files, 'runs': runs}[part](folder / part)
  return found


def run(
  count: int,
  seed: int,
  good: dict[str, Kind],
  *,
  verbose: bool = False,
) -> tuple[dict[str, collections.Counter[str]], list[str]]:
  """Outcomes by kind of `count` trials, and what was wrong."""
  outcomes, wrong = {}, []
  for place, (name, kind) in enumerate(good.items()):
    begun = time.monotonic()
    # As many of each; a trial is the same whatever other kinds are tried.
    numbers = range(count // len(good) + (place < count % len(good)))
    outcomes[name] = collections.Counter[str]()
    for number, outcome, done in _trials(name, kind, seed, numbers):
      outcomes[name][outcome] += 1
      if outcome in WRONG:
        wrong.append(f'{name}, trial {number}, {outcome}: {done}')
    if verbose:
      seconds = time.monotonic() - begun
      print(f'{name}: {seconds:.1f} s, {dict(outcomes[name])}', flush=True)
  return outcomes, wrong


def table(outcomes: dict[str, collections.Counter[str]]) -> str:
  """The counts, as they are in docs/faults.md."""
  rows = [['file', *OUTCOMES], ['---'] * (1 + len(OUTCOMES))]
  for name, counter in outcomes.items():
    rows.append([name, *(str(counter[outcome]) for outcome in OUTCOMES)])
  total = sum(outcomes.values(), collections.Counter[str]())
  rows.append(['all', *(str(total[outcome]) for outcome in OUTCOMES)])
  return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def another(rng: np.random.Generator) -> bytes:
  """What stands in a file that was never the right one."""
  others = [
    b'',
    b'\n',
    b'null',
    b'{}',
    b'[' * 100_000,
    b'<!DOCTYPE html><html><body>404 Not Found</body></html>',
    b'\xff\xfe' + 'kein JSON'.encode('utf-16-le'),
    b'PK\x03\x04' + rng.bytes(64),
    b'\x89PNG\r\n\x1a\n' + rng.bytes(64),
    b'\0' * 1000,
    rng.bytes(1000),
  ]
  return others[rng.integers(len(others))]


def _trials(
  name: str, kind: Kind, seed: int, numbers: Sequence[int]
) -> Iterator[tuple[int, str, str]]:
  with tempfile.TemporaryDirectory() as scratch:
    copies, done = [], []
    for number in numbers:
      rng = np.random.default_rng([seed, number, *name.encode()])
      copy = pathlib.Path(scratch, str(number), kind.example.name)
      copy.parent.mkdir()
      if kind.example.is_dir():
        shutil.copytree(kind.example, copy)
      else:
        shutil.copyfile(kind.example, copy)
      file = copy / kind.names[rng.integers(len(kind.names))]
      done.append(_damage(file, rng))
      copies.append(copy)
    for number, words, found in zip(
      numbers, done, kind.read(copies), strict=True
    ):
      yield number, *_outcome(kind, found, words)


def _damage(file: pathlib.Path, rng: np.random.Generator) -> str:
  """Damages a file, and says how."""
  before = file.read_bytes()
  if rng.integers(_REPLACED) and before:
    after = damaged(before, int(rng.integers(2**31)))
  else:
    after = another(rng)
  file.write_bytes(after)
  place = next(
    (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
    min(len(before), len(after)),
  )
  return (
    f'{file.name}, {len(before)} bytes and now {len(after)}, from byte {place} '
    f'{before[place : place + 8]!r} is {after[place : place + 8]!r}'
  )


def _outcome(kind: Kind, found: object, done: str) -> tuple[str, str]:
  """The outcome of what was read, and words for it."""
  if isinstance(found, UserError):
    text = str(found)
    if not text.strip() or '\n\n' in text.strip():
      return 'traceback', f'{done}: the message is {text!r}'
    return 'refused', f'{done}: {text}'
  if isinstance(found, Exception):
    lines = traceback.format_exception(found, limit=-3)
    return 'traceback', f'{done}: {"".join(lines)}'
  outcome, why = kind.judge(found)
  return outcome, f'{done}: {why}'


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    'parts', nargs='*', help='files: those read alone; runs: those of a run'
  )
  parser.add_argument('--count', type=int, default=2400, help='trials in all')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--kinds', default='', help='a pattern of their names')
  parser.add_argument('--verbose', action='store_true', help='show each kind')
  options = parser.parse_args()
  logging.getLogger('absl').setLevel(logging.ERROR)  # Orbax's own words
  with contextlib.ExitStack() as stack:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    good = kinds(pathlib.Path(folder), options.parts or ('files', 'runs'))
    good = {n: kind for n, kind in good.items() if re.search(options.kinds, n)}
    outcomes, wrong = run(
      options.count, options.seed, good, verbose=options.verbose
    )
  print(table(outcomes))
  print('\n'.join(wrong))
  sys.exit(bool(wrong))


if __name__ == '__main__':
  main()
