"""Reproduces the tables and figures of the paper.

python -m resnet_jax.paper list
python -m resnet_jax.paper run degradation
python -m resnet_jax.paper run table6 --depths=20,56 --dry_run
python -m resnet_jax.paper show table6
python -m resnet_jax.paper report
python -m resnet_jax.paper responses runs/paper/NAME/checkpoints/latest/STEP
"""

import argparse
import dataclasses
import logging
import math
import os
import pathlib
import signal
import sys
from collections.abc import Sequence
from typing import get_args

# TensorFlow reads this when it is imported, which is later and not always.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import jax

from resnet_jax.console import console, start_logging
from resnet_jax.errors import UserError
from resnet_jax.paper import cost as measure
from resnet_jax.paper import (
  curves,
  figures,
  jobs,
  records,
  render,
  report,
  responses,
  runner,
  targets,
)
from resnet_jax.paper.runs import RUNS, Run, Scale, check_dataset
from resnet_jax.runs import telemetry
from resnet_jax.runs.interruption import Interrupted

_log = logging.getLogger('resnet_jax')


def run(argv: Sequence[str] | None = None) -> int:
  """The command; its exit code. What a user can mend is printed as such."""
  options = _parser().parse_args(argv)
  start_logging()
  try:
    return options.command(options) or 0
  except UserError as e:
    console.clear()
    print(f'error: {e}', file=sys.stderr)
    return 1
  except OSError as e:
    console.clear()
    print(f'error: the system says: {e}', file=sys.stderr)
    return 1
  except ImportError as e:  # of what only some commands need
    console.clear()
    print(
      f'error: {e.name} is missing; pip install -r requirements.txt',
      file=sys.stderr,
    )
    return 1
  except KeyboardInterrupt:
    console.clear()
    print('interrupted', file=sys.stderr)
    return 128 + signal.SIGINT
  except Interrupted as e:
    console.clear()
    _log.info('%s', e)
    return 128 + e.number


def _list(options: argparse.Namespace) -> None:
  """What there is, what it takes, and how much of it is done."""
  width = max(map(len, targets.TARGETS))
  for target in targets.TARGETS.values():
    runs = _runs(target, Scale())
    takes = 'computed from the modules, without runs'
    if runs:
      done = sum(_is_done(options.runs, one, target) for one in runs)
      steps = sum(one.steps() for one in runs)
      takes = f'{len(runs)} runs, {steps:,} steps in all; {done} done'
    print(f'{target.name:{width}}  {target.title}\n{"":{width}}  {takes}')
  print('\n`run TARGET --dry_run` says what one takes on this machine.')


def _run(options: argparse.Namespace) -> int:
  target, scale = targets.find(options.target), _scale(options)
  runs = _runs(target, scale)
  if options.dry_run:
    _set_devices(options)
    _print_plan(target, runs, options)
    return 0
  # The devices are for the runs; this process only counts and waits.
  jax.config.update('jax_platforms', 'cpu')
  parallel = options.parallel or _parallel(target)
  failures = runner.run_target(
    target, runs, runner.Options(options.runs, parallel, options.cpu_devices)
  )
  console.clear()
  if failures:
    names = '\n'.join(f'  {f.name}: {f.reason}' for f in failures)
    print(f'error: {len(failures)} failed:\n{names}', file=sys.stderr)
  render.show(_section(target, scale, options))
  return 1 if failures else 0


def _show(options: argparse.Namespace) -> None:
  target = targets.find(options.target)
  render.show(_section(target, _scale(options), options))


def _report(options: argparse.Namespace) -> None:
  folder = options.output or options.runs / 'report'
  for file in report.write(options.runs, folder):
    print(file)


def _responses(options: argparse.Namespace) -> None:
  """Of any checkpoints, ours or imported: Fig. 7 of one's own."""
  if options.output and len(options.checkpoints) > 1:
    raise UserError('--output is for one checkpoint; --figure draws several')
  for file in (options.output, options.figure):
    if file and not file.parent.is_dir():
      raise UserError(f'{file.parent} is not a folder; make it first')
  fields = {
    field.name: getattr(options, field.name)
    for field in dataclasses.fields(responses.Definition)
  }
  definition = responses.Definition(**fields)
  series = []
  for path in options.checkpoints:
    content = responses.measure(path, None, definition)
    print(f'{path}: {content["network"]}, {content["images"]:,} images')
    for layer in content['layers']:
      print(f'{layer["std"]:8.4f}  {layer["path"]}')
    series.append(curves.series_of(content['network'], [content]))
  if options.output:
    telemetry.write_json(options.output, content)
  if options.figure:
    figures.response_figure(series, options.figure)
    print(f'{options.figure}.png and .svg')


def _runs(target: targets.Target, scale: Scale) -> list[Run]:
  """Seed by seed: a target that was cut shows all its networks."""
  members = [runs for _, runs in targets.runs_of(target, scale)]
  most = max(map(len, members), default=0)
  return [runs[i] for i in range(most) for runs in members if i < len(runs)]


def _is_done(root: pathlib.Path, one: Run, target: targets.Target) -> bool:
  try:
    return records.find(root, one) is not None and jobs.is_done(
      root, one, target
    )
  except UserError:
    return False


def _section(
  target: targets.Target, scale: Scale, options: argparse.Namespace
) -> str:
  return report.section(target, options.runs, scale, options.runs / 'figures')


def _print_plan(
  target: targets.Target, runs: Sequence[Run], options: argparse.Namespace
) -> None:
  """The runs, their arithmetic, and what they may take on this machine."""
  if not runs:
    print(
      f'{target.name} is computed from the modules; there is nothing to run'
    )
    return
  done = {one for one in runs if _is_done(options.runs, one, target)}
  if len(done) == len(runs):
    print(f'all {len(runs)} runs of {target.name} are done')
    return
  least = min(runs, key=measure.macs_of)
  rate = measure.rate(least)
  print(f'{"run":42} {"M multiply-adds":>15} {"steps":>8} {"estimate":>9}')
  total, parallel = 0.0, options.parallel or _parallel(target)
  for one in runs:
    seconds = 0.0 if one in done else rate.seconds(one)
    total += seconds
    print(
      f'{one.name:42} {measure.macs_of(one) / 1e6:15,.1f} {one.steps():8,} '
      f'{"done" if one in done else _duration(seconds):>9}'
      f'{f"  [{one.departures}]" if one.departures else ""}'
    )
  at_a_time = f', {parallel} at a time' if parallel > 1 else ''
  print(
    f'In all {_duration(total / parallel)}{at_a_time}, estimated from '
    f'{rate.macs_per_second / 1e9:,.1f} billion multiply-adds a second, which '
    f'a few training steps of {rate.network} reached on {rate.device}. '
    f'Reading data and tests come on top.'
  )


def _duration(seconds: float) -> str:
  if seconds < 3600:
    return f'{math.ceil(seconds / 60)} min'
  return f'{seconds / 3600:,.{0 if seconds > 36_000 else 1}f} h'


def _parallel(target: targets.Target) -> int:
  """Runs at a time: one, or one for each core where one core is enough."""
  if not target.one_core:
    return 1
  if hasattr(os, 'sched_getaffinity'):  # not on a Mac
    return min(len(os.sched_getaffinity(0)), 8)
  return min(os.cpu_count() or 1, 8)


def _set_devices(options: argparse.Namespace) -> None:
  if options.cpu_devices > 1:
    jax.config.update('jax_num_cpu_devices', options.cpu_devices)


def _scale(options: argparse.Namespace) -> Scale:
  if options.dataset is not None:
    check_dataset(options.dataset)
  return Scale(options.dataset, options.seeds, options.steps, options.depths)


def _positive(word: str) -> int:
  if not word.isdigit() or int(word) < 1:
    raise argparse.ArgumentTypeError(f'{word!r} is not a number from 1 on')
  return int(word)


def _depths(word: str) -> tuple[int, ...]:
  return tuple(_positive(part) for part in word.split(','))


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m resnet_jax.paper', description=__doc__.splitlines()[0]
  )
  commands = parser.add_subparsers(required=True, metavar='COMMAND')

  def add(name: str, command: object, about: str) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=about, description=about)
    one.set_defaults(command=command)
    one.add_argument(
      '--runs', type=pathlib.Path, default=RUNS, help='folder of all runs'
    )
    return one

  add('list', _list, 'list the tables and figures, and what is done of them')
  train = add('run', _run, 'train and test what is missing of one')
  show = add('show', _show, "show one from its records, beside the paper's")
  for one in (train, show):
    one.add_argument('target', help='such as table6; see list')
    one.add_argument(
      '--dataset', help="'digits', a TFDS name, an .npz file or a folder"
    )
    one.add_argument('--seeds', type=_positive, help='of each network')
    one.add_argument('--steps', type=_positive, help='of each run')
    one.add_argument('--depths', type=_depths, help='such as 20,56')
  train.add_argument(
    '--dry_run', action='store_true', help='print what it takes, and stop'
  )
  train.add_argument(
    '--parallel',
    type=_positive,
    help='runs at a time (default 1; of the digits, one for each core)',
  )
  train.add_argument(
    '--cpu_devices',
    type=_positive,
    default=1,
    help='without a GPU: devices that each run makes of the CPU',
  )
  all_of_them = add('report', _report, 'write all of them as HTML and Markdown')
  all_of_them.add_argument(
    '--output', type=pathlib.Path, help='folder (default RUNS/report)'
  )
  about = 'measure the layer responses of checkpoints (Fig. 7)'
  layers = commands.add_parser('responses', help=about, description=about)
  layers.set_defaults(command=_responses)
  layers.add_argument(
    'checkpoints', type=pathlib.Path, nargs='+', help='SERIES/STEP'
  )
  layers.add_argument('--output', type=pathlib.Path, help='a JSON file')
  layers.add_argument(
    '--figure', type=pathlib.Path, help='draw FIGURE.png and FIGURE.svg'
  )
  for field in dataclasses.fields(responses.Definition):
    layers.add_argument(
      f'--{field.name}',
      type=type(field.default),
      default=field.default,
      choices=get_args(field.type) or None,
    )
  return parser


if __name__ == '__main__':
  sys.exit(run())
