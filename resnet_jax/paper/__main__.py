"""Reproduces the tables and figures of the paper, and compares any runs.

python -m resnet_jax.paper list
python -m resnet_jax.paper run degradation
python -m resnet_jax.paper run table6 --depths=20,56 --dry_run
python -m resnet_jax.paper show table6
python -m resnet_jax.paper report
python -m resnet_jax.paper responses runs/paper/NAME/checkpoints/latest/STEP
python -m resnet_jax.paper repeat cifar_resnet20 --vary batch_size 64 128
python -m resnet_jax.paper compare DIR DIR --figure=compared
"""

import argparse
import dataclasses
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import get_args

# TensorFlow reads this when it is imported, which is later and not always.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import jax

from resnet_jax import paths
from resnet_jax.console import console, start_logging
from resnet_jax.errors import UserError
from resnet_jax.paper import (
  any_runs,
  cost,
  curves,
  datasets,
  figures,
  render,
  report,
  responses,
  runner,
  targets,
)
from resnet_jax.paper.results import LayerResponses
from resnet_jax.paper.runs import RUNS, Scale
from resnet_jax.runs.workdir import write_json
from resnet_jax.shell import shell

_log = logging.getLogger('resnet_jax')

# Help for the fields of `responses.Definition`, which documents them at length.
_LAYERS = {
  'split': 'split of the images',
  'images': 'number of images, the first of the split',
  'pooling': 'one deviation of a layer, or the mean of those of its channels',
  'statistics': 'BN by running averages, or by those of each batch',
  'batch_size': 'images at a time',
}


def run(argv: Sequence[str] | None = None) -> None:
  """The command line.

  Raises:
    SystemExit: with the exit code, see `shell`.
  """
  with shell():
    options = _parser().parse_args(argv)
    _choose_devices(options)
    start_logging()
    if code := options.command(options):
      sys.exit(code)


def _choose_devices(options: argparse.Namespace) -> None:
  """Says which devices JAX uses, before the first log line wakes them up."""
  if options.command is _run and options.dry_run:
    if options.cpu_devices > 1:
      jax.config.update('jax_num_cpu_devices', options.cpu_devices)
  elif options.command is not _responses:
    # The devices are for the runs; this process only counts and waits.
    jax.config.update('jax_platforms', 'cpu')


def _list(options: argparse.Namespace) -> None:
  """Lists the targets, what they take, and how much of it is done."""
  width = max(map(len, targets.TARGETS))
  for target in targets.TARGETS.values():
    runs = targets.in_order(target, Scale())
    takes = 'computed from the modules, without runs'
    if runs:
      done = sum(runner.is_done(options.runs, one, target) for one in runs)
      steps = sum(one.steps() for one in runs)
      takes = f'{len(runs)} runs, {steps:,} steps in all; {done} done'
    print(f'{target.name:{width}}  {target.title}\n{"":{width}}  {takes}')
  print('\n`run TARGET --dry_run` says what one takes on this machine.')


def _run(options: argparse.Namespace) -> int:
  """Does what is missing of a target, and shows it."""
  target, scale = targets.find(options.target), _scale(options)
  runs = targets.in_order(target, scale)
  parallel = options.parallel or runner.default_parallel(target)
  if options.dry_run:
    _log.info('timing a step of the smallest network on this machine ...')
    done = [run for run in runs if runner.is_done(options.runs, run, target)]
    print(cost.describe(target, runs, done, parallel))
    return 0
  failures = runner.run_target(
    target,
    runs,
    root=options.runs,
    parallel=parallel,
    cpu_devices=options.cpu_devices,
  )
  console.clear()
  if failures:
    lines = [f'  {name}: {reason}' for name, reason in failures.items()]
    words = '\n'.join([f'error: {len(failures)} failed:', *lines])
    print(words, file=sys.stderr)
  _print_section(target, scale, options.runs)
  return 1 if failures else 0


def _show(options: argparse.Namespace) -> None:
  """Shows a target from its records."""
  target = targets.find(options.target)
  _print_section(target, _scale(options), options.runs)


def _report(options: argparse.Namespace) -> None:
  """Writes all targets as HTML and Markdown."""
  folder = options.output or options.runs / 'report'
  for file in report.write(options.runs, folder):
    print(file)


def _responses(options: argparse.Namespace) -> None:
  """Measures the layers of any checkpoints, ours or imported (Fig. 7)."""
  if options.output and len(options.checkpoints) > 1:
    raise UserError('--output is for one checkpoint; --figure draws several')
  for file in (options.output, options.figure):
    if file and not file.parent.is_dir():
      raise UserError(f'{file.parent} is not a folder; make it first')
  names = [field.name for field in dataclasses.fields(responses.Definition)]
  definition = responses.Definition(**{n: getattr(options, n) for n in names})
  series = []
  for path in options.checkpoints:
    content = responses.measure(path, definition, trust_data=options.trust_data)
    print(f'{path}: {content["network"]}, {content["images"]:,} images')
    for layer in content['layers']:
      print(f'{layer["std"]:8.4f}  {layer["path"]}')
    found = LayerResponses.parse(content)
    series.append(curves.series_of(found.network, [found]))
  if options.output:
    write_json(options.output, content)
  if options.figure:
    figures.response_figure(series, options.figure)
    print(f'{options.figure}.png and .svg')


def _print_section(
  target: targets.Target, scale: Scale, root: pathlib.Path
) -> None:
  render.show(report.section(target, root, scale, root), root)


def _scale(options: argparse.Namespace) -> Scale:
  dataset = options.dataset and paths.expand(options.dataset, '--dataset')
  if dataset is not None:
    datasets.check(dataset)
  return Scale(dataset, options.seeds, options.steps, options.depths)


def _depths(word: str) -> tuple[int, ...]:
  return tuple(any_runs.positive(part) for part in word.split(','))


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m resnet_jax.paper',
    description='Reproduces the tables and figures of the paper.',
  )
  commands = parser.add_subparsers(required=True, metavar='COMMAND')

  def add(
    name: str, command: Callable[[argparse.Namespace], int | None], about: str
  ) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=about, description=about)
    one.set_defaults(command=command)
    return one

  listed = add('list', _list, 'list the tables and figures, and what is done')
  train = add('run', _run, 'train and test what is missing of one')
  show = add('show', _show, "show one from its records, beside the paper's")
  whole = add('report', _report, 'write all of them as HTML and Markdown')
  for one in (listed, train, show, whole):
    one.add_argument(
      '--runs',
      type=paths.argument('--runs'),
      default=RUNS,
      help='folder of all runs',
    )
  for one in (train, show):
    one.add_argument('target', help='such as table6; see list')
    one.add_argument(
      '--dataset', help="'digits', a TFDS name, an .npz file or a folder"
    )
    one.add_argument('--seeds', type=any_runs.positive, help='of each network')
    one.add_argument('--steps', type=any_runs.positive, help='of each run')
    one.add_argument('--depths', type=_depths, help='such as 20,56')
  train.add_argument(
    '--dry_run', action='store_true', help='print what it takes, and stop'
  )
  train.add_argument(
    '--parallel',
    type=any_runs.positive,
    help='runs at a time (default 1; of the digits, one for each core)',
  )
  train.add_argument(
    '--cpu_devices',
    type=any_runs.positive,
    default=1,
    help='without a GPU: devices that each run makes of the CPU',
  )
  whole.add_argument(
    '--output',
    type=paths.argument('--output'),
    help='folder (default RUNS/report)',
  )
  about = 'measure the layer responses of checkpoints (Fig. 7)'
  layers = add('responses', _responses, about)
  layers.add_argument(
    'checkpoints',
    type=paths.argument('checkpoints'),
    nargs='+',
    help='SERIES/STEP',
  )
  layers.add_argument(
    '--output', type=paths.argument('--output'), help='a JSON file'
  )
  layers.add_argument(
    '--figure',
    type=paths.argument('--figure'),
    help='draw FIGURE.png and FIGURE.svg',
  )
  layers.add_argument(
    '--trust_data',
    action='store_true',
    help='take the TFDS set and folder that a checkpoint names',
  )
  any_runs.add_commands(add)
  for field in dataclasses.fields(responses.Definition):
    layers.add_argument(
      f'--{field.name}',
      type=type(field.default),
      default=field.default,
      choices=get_args(field.type) or None,
      help=f'{_LAYERS[field.name]} (default {field.default})',
    )
  return parser


if __name__ == '__main__':
  run()
