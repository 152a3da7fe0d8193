"""Classifies pictures with a trained or imported network.

python -m resnet_jax.predict --checkpoint=SERIES/STEP cat.jpg photos/ '*.png'
python -m resnet_jax.predict --checkpoint=SERIES/STEP --output=out.csv photos/
python -m resnet_jax.predict --checkpoint=FILE --resize=288 --views=ten_crop x/
"""

import argparse
import glob
import os
from collections.abc import Sequence

from resnet_jax import paths, predictions
from resnet_jax.console import start_logging
from resnet_jax.data.streamed import folders
from resnet_jax.data.views import NAMES
from resnet_jax.errors import UserError
from resnet_jax.predictor import Predictor, listed
from resnet_jax.shell import shell


def find_pictures(arguments: Sequence[str]) -> list[str]:
  """The files that are named, in folders, or matched by patterns, each once.

  Which files of a folder are pictures is told by `folders.pictures_in`.

  Raises:
    UserError: an argument matches nothing.
  """
  files = []
  for argument in arguments:
    argument = paths.expand(argument, 'pictures')
    if os.path.isdir(argument):
      left_out = folders.LeftOut()
      inside = [
        os.path.join(argument, os.fsdecode(name))
        for name, _ in folders.pictures_in(argument, left_out)
      ]
      folders.log_left_out(argument, left_out)
    elif os.path.isfile(argument):
      inside = [argument]
    else:
      inside = sorted(filter(os.path.isfile, glob.glob(argument)))
    if not inside:
      raise UserError(
        f'{argument} is no picture, and no folder or pattern that holds any'
      )
    files += inside
  return list(dict.fromkeys(files))


def run(arguments: Sequence[str] | None = None) -> None:
  """The command line.

  Raises:
    SystemExit: with the exit code, see `shell`.
  """
  with shell():
    options = _parser().parse_args(arguments)
    start_logging()
    _predict(options)


def _predict(options: argparse.Namespace) -> None:
  for name in ('top', 'batch_size'):
    if getattr(options, name) < 1:
      raise UserError(f'--{name}={getattr(options, name)} must be at least 1')
  output = options.output
  if output and output.suffix not in predictions.SUFFIXES:
    raise UserError(f'--output={output} must end in .csv or .json')
  if output:
    predictions.check_writable(output)
  files = find_pictures(options.pictures)
  predictor = Predictor(
    options.checkpoint,
    views=options.views,
    resize=options.resize,
    batch_size=options.batch_size,
  )
  found, damaged = predictor(files, top=options.top)
  if output:
    predictions.write(output, found)
    print(f'{output}: {len(found)} pictures')
  else:
    predictions.show(found)
  if damaged:
    raise UserError(
      f'{len(damaged)} of {len(files)} files could not be read: '
      f'{listed(damaged)}'
    )


def _sides(word: str) -> tuple[int, ...]:
  sides = tuple(
    int(part) if part.isdecimal() else 0 for part in word.split(',')
  )
  if min(sides) < 1:
    raise argparse.ArgumentTypeError(
      f'{word!r} must be a number of pixels, or several as in 224,256'
    )
  return sides


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m resnet_jax.predict', description=__doc__.splitlines()[0]
  )
  parser.add_argument(
    '--checkpoint',
    required=True,
    type=paths.argument('--checkpoint'),
    help='folder SERIES/STEP, or a file of weights',
  )
  parser.add_argument(
    '--views',
    choices=NAMES,
    default='single',
    help='parts of each picture that are averaged: the centre crop (single), '
    'the corners and the centre with their mirror images (ten_crop), or the '
    'whole picture at several scales (dense)',
  )
  parser.add_argument(
    '--resize',
    type=_sides,
    default=(),
    metavar='PIXELS',
    help='shorter side that pictures are scaled to before the crop, as in 256; '
    'several, as in 224,256,384, for --views=dense; by default those of the '
    "network's own test",
  )
  parser.add_argument('--top', type=int, default=5, help='classes to show')
  parser.add_argument(
    '--batch_size', type=int, default=32, help='pictures at a time'
  )
  parser.add_argument(
    '--output',
    type=paths.argument('--output'),
    help='write FILE.csv or FILE.json',
  )
  parser.add_argument(
    'pictures', nargs='+', help='files, folders, or patterns in quotes'
  )
  return parser


if __name__ == '__main__':
  run()
