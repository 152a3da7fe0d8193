"""Takes weights in and out.

python -m resnet_jax.weights show resnet50.pth
python -m resnet_jax.weights import resnet50.pth imported/resnet50
python -m resnet_jax.weights export imported/resnet50/0 resnet50.safetensors
"""

import argparse
import pathlib
from collections.abc import Sequence

from resnet_jax import models, paths
from resnet_jax.console import start_logging
from resnet_jax.data.normalization import Normalization
from resnet_jax.errors import UserError
from resnet_jax.shell import shell
from resnet_jax.text import plain
from resnet_jax.weights import (
  architecture,
  checkpoints,
  files,
  labels,
  metadata,
  names,
)

# Values of --pixels: mean and std of all colours, for pixels from 0 to 255.
_PIXELS = {'none': (0, 1), 'unit': (0, 255), 'symmetric': (127.5, 127.5)}


def run(argv: Sequence[str] | None = None) -> None:
  """The command line.

  Raises:
    SystemExit: with the exit code, see `shell`.
  """
  with shell():
    options = _parser().parse_args(argv)
    start_logging()
    options.command(options)


def _import(options: argparse.Namespace) -> None:
  found = checkpoints.import_file(
    options.file,
    options.folder,
    network=options.network,
    version=options.version,
    normalization=_normalization(options),
    class_names=labels.read(options.classes),
    antialias=False if options.no_antialias else None,
  )
  target = options.folder / '0'
  print(f'{target}: {_describe(found)}')
  noted = metadata.Noted.of_file(options.file)
  antialias = noted.antialias and not options.no_antialias
  print(f'Next: {_next(target, found.network, antialias)}')


def _next(target: pathlib.Path, network: str, antialias: bool) -> str:
  """The command that evaluates an import as its weights want."""
  command = f'python -m resnet_jax.main --mode=eval --checkpoint={target}'
  if network.startswith('cifar_'):
    return (
      f'{command} --config=configs/cifar_resnet20.py (CIFAR-10; for other data '
      f'add --config.dataset.npz=FILE.npz)'
    )
  return (
    f'{command} --config=configs/imagenet_resnet50.py '
    f'--config.dataset.antialias={antialias} --config.dataset.folder=DIR'
  )


def _export(options: argparse.Namespace) -> None:
  found = checkpoints.export_checkpoint(
    options.checkpoint, options.file, class_names=labels.read(options.classes)
  )
  print(f'{options.file}: {_describe(found)}')


def _show(options: argparse.Namespace) -> None:
  arrays = files.read(options.file)
  found = architecture.detect(arrays)
  buffers = ('.running_mean', '.running_var')
  parameters = sum(
    x.size
    for name, x in arrays.items()
    if not name.endswith(buffers) and not names.is_counter(name)
  )
  print(f'{options.file}: {_describe(found)}, {parameters:,} parameters')
  for key, text in sorted(files.read_metadata(options.file).items()):
    shown = text if len(text) < 200 else text[:200] + ' ...'
    print(f'  {plain(key)}: {plain(shown)}')
  if 'version' in found.overrides:
    print('The strides (v1 or v1.5) cannot be seen in weights; v1.5 is usual.')


def _describe(found: architecture.Architecture) -> str:
  words = [f'{key} {value}' for key, value in found.overrides.items()]
  return ', '.join([found.network, f'{found.num_classes} classes', *words])


def _normalization(options: argparse.Namespace) -> Normalization | None:
  if not (options.pixels or options.mean or options.std):
    return None
  if options.pixels in _PIXELS:
    usual = Normalization.of_colors(
      *((x,) * 3 for x in _PIXELS[options.pixels])
    )
  else:
    usual = Normalization.of_imagenet()
  return Normalization.of_colors(
    _numbers('--mean', options.mean) if options.mean else usual.mean.tolist(),
    _numbers('--std', options.std) if options.std else usual.std.tolist(),
  )


def _numbers(flag: str, text: str) -> tuple[float, ...]:
  """Three numbers for pixels from 0 to 1, scaled to pixels from 0 to 255."""
  try:
    values = tuple(float(part) for part in text.split(','))
  except ValueError:
    values = ()
  if len(values) != 3:
    raise UserError(
      f'{flag}={text} must be three numbers with commas between, such as '
      f'0.485,0.456,0.406, for pixels from 0 to 1'
    )
  if not all(0 <= x <= 1 for x in values):
    scaled = ','.join(f'{x / 255:.6g}' for x in values)
    mend = f'; on that of 0 to 255, give {flag}={scaled}'
    raise UserError(
      f'{flag}={text} is not on the scale of pixels from 0 to 1, where it lies '
      f'between 0 and 1{mend if all(0 <= x <= 255 for x in values) else ""}'
    )
  return tuple(255 * x for x in values)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m resnet_jax.weights',
    description='Weights under PyTorch names, in and out.',
  )
  commands = parser.add_subparsers(required=True, metavar='COMMAND')
  file_help = 'weights: .safetensors, .npz, .pth, .pt or .th'

  show = commands.add_parser(
    'show', help='name the network that weights belong to'
  )
  show.add_argument(
    'file', type=paths.argument('file'), metavar='FILE', help=file_help
  )
  show.set_defaults(command=_show)

  take = commands.add_parser('import', help='write weights as a checkpoint')
  take.add_argument(
    'file', type=paths.argument('file'), metavar='FILE', help=file_help
  )
  take.add_argument(
    'folder',
    type=paths.argument('folder'),
    metavar='DIR',
    help='the checkpoint is DIR/0',
  )
  take.add_argument(
    '--network',
    metavar='NAME',
    help=f'{models.available()[2]}, ...; default: what the weights show',
  )
  take.add_argument(
    '--version',
    choices=['v1', 'v1.5'],
    help='where bottlenecks have their strides, which weights do not show: on '
    'the 1x1 (v1, the paper) or 3x3 convolution (v1.5, the default)',
  )
  take.add_argument(
    '--pixels',
    choices=['imagenet', *_PIXELS],
    help='pixels that the network wants: less the ImageNet mean, over its std '
    '(imagenet, the default); 0 to 255 (none); 0 to 1 (unit); -1 to 1 '
    '(symmetric)',
  )
  take.add_argument(
    '--no_antialias',
    action='store_true',
    help='the network was trained on pictures that were scaled down without '
    'smoothing (OpenCV, most TensorFlow codes); by default with, as Pillow '
    'does for torchvision and timm',
  )
  for name in ('mean', 'std'):
    take.add_argument(
      f'--{name}',
      metavar='R,G,B',
      help=f'{name} of pixels from 0 to 1; overrides the one of --pixels',
    )
  take.set_defaults(command=_import)

  give = commands.add_parser('export', help='write a checkpoint as weights')
  give.add_argument(
    'checkpoint',
    type=paths.argument('checkpoint'),
    metavar='CHECKPOINT',
    help='folder SERIES/STEP, or a file of weights',
  )
  give.add_argument(
    'file',
    type=paths.argument('file'),
    metavar='FILE.safetensors',
    help='to write',
  )
  give.set_defaults(command=_export)
  for command in (take, give):
    command.add_argument(
      '--classes',
      type=paths.argument('--classes'),
      metavar='FILE',
      help='names of the classes, one a line in the order of the labels',
    )
  return parser


if __name__ == '__main__':
  run()
