"""The commands `repeat` and `compare`, for runs beside those of the paper."""

import argparse
import pathlib
import sys
from collections.abc import Callable, Sequence

from resnet_jax import paths
from resnet_jax.console import console
from resnet_jax.errors import UserError
from resnet_jax.paper import compare, render, repeat
from resnet_jax.paper.runs import RUNS


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
  """Adds both to a parser.

  Args:
    add: Makes the parser of a command from its name, function and purpose.
  """
  _add_repeat(add('repeat', _repeat, 'train any config over seeds and fields'))
  several = add('compare', _compare, 'show any runs side by side')
  several.add_argument(
    'folders',
    type=paths.argument('folders'),
    nargs='+',
    metavar='DIR',
    help='folder of a run, or one that holds folders of runs',
  )
  several.add_argument(
    '--figure',
    type=paths.argument('--figure'),
    help='draw FIGURE.png and FIGURE.svg',
  )


def _repeat(options: argparse.Namespace) -> int:
  """Trains a config over seeds and fields, and compares the runs."""
  name = pathlib.Path(options.config).stem
  root = options.runs or RUNS.parent / 'repeat' / name
  runs = repeat.expand(
    options.config,
    root=root,
    seeds=options.seeds,
    fixed=options.set,
    varied=options.vary,
  )
  if options.dry_run:
    for one in runs:
      print(f'{one.folder}: {"done" if one.is_done() else "to train"}')
    return 0
  failures = repeat.run(runs, root, parallel=options.parallel)
  console.clear()
  for name, reason in failures.items():
    print(f'error: {name}: {reason}', file=sys.stderr)
  there = [one.folder for one in runs if (one.folder / 'config.json').exists()]
  if there:
    _show_compared(there, root / 'compared')
  return 1 if failures else 0


def _compare(options: argparse.Namespace) -> None:
  """Shows any runs side by side."""
  _show_compared(options.folders, options.figure)


def _show_compared(
  folders: Sequence[pathlib.Path], figure: pathlib.Path | None
) -> None:
  found = compare.find(folders)
  render.show(compare.table(found), pathlib.Path())
  if figure:
    if not figure.parent.is_dir():
      raise UserError(f'{figure.parent} is not a folder; make it first')
    compare.draw(found, figure)
    print(f'{figure}.png and .svg')


def _add_repeat(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    'config', help='a config file, or the name of a shipped one'
  )
  parser.add_argument(
    '--seeds', type=positive, default=3, help='how many (default 3)'
  )
  parser.add_argument(
    '--set',
    action='append',
    default=[],
    metavar='FIELD=VALUE',
    help='set a field for all runs; may be given again',
  )
  parser.add_argument(
    '--vary',
    action='append',
    default=[],
    nargs='+',
    metavar=('FIELD', 'VALUE'),
    help='train with each of the values; given again, all combinations',
  )
  parser.add_argument(
    '--runs',
    type=paths.argument('--runs'),
    help='folder of these runs (default runs/repeat/CONFIG)',
  )
  parser.add_argument(
    '--parallel', type=positive, default=1, help='runs at a time (default 1)'
  )
  parser.add_argument(
    '--dry_run', action='store_true', help='list the runs, and stop'
  )


def positive(word: str) -> int:
  """The `type` of an argument that counts."""
  if not word.isdigit() or int(word) < 1:
    raise argparse.ArgumentTypeError(f'{word!r} is not a number from 1 on')
  return int(word)
