"""Measures how fast the networks are here, beside PyTorch and the machine.

  python -m benchmarks.run
  python -m benchmarks.run --only=train,eval --rounds=5 \\
    --networks=cifar_resnet20,cifar_resnet56,imagenet_resnet18 \\
    --json=speed.json --chart=speed.png
  python -m benchmarks.run --only=train --batches=64,256 \\
    --precisions=float32,bfloat16
  python -m benchmarks.run --only=first --peers=none \\
    --networks=cifar_resnet20,cifar_resnet56,cifar_resnet110,cifar_resnet1202

Parts are the training step, the evaluation, the input of pictures, the whole
loop, the first step (initial weights, trace, compile; again from the cache of
compiled programs), and the peak memory. `docs/performance.md` says what each
row means.

Our side runs as `python -m resnet_jax.main` does without flags, which on a CPU
keeps memory from step to step (resnet_jax/malloc.py); PyTorch is measured as it
is, and with the same settings of malloc. Each side has a process of its own;
they are warmed up, then take turns, and every turn ends when its result is
there. The table has the median of the rounds and half of their range (±). The
ratio to a peer is the median of the rounds' ratios, and it is left out (~)
where it is no further from 1 than half of their range.

The machine's limit is what its measured rates of matrix products and of memory
would allow, see limit.py. Data are noise that the benchmark makes. Do not use
the machine for anything else meanwhile: a load above 0.5 is reported.
"""

import argparse
import json
import pathlib
import re
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from benchmarks import machine, parts, report
from benchmarks.cases import PRECISIONS, config_file
from benchmarks.rounds import facts
from resnet_jax.runs.environment import version

_PACKAGES = ('jax', 'jaxlib', 'flax', 'numpy', 'torch', 'torchvision')


def main(argv: Sequence[str] | None = None) -> None:
  arguments = _arguments(argv)
  out = report.console()
  with tempfile.TemporaryDirectory() as folder:
    found = measure(arguments, pathlib.Path(folder), out)
  report.print_report(found, out)
  if arguments.json:
    arguments.json.write_text(json.dumps(found, indent=2) + '\n')
  if arguments.chart:
    report.draw(found, arguments.chart)


def measure(
  arguments: argparse.Namespace, folder: pathlib.Path, out: Any
) -> dict[str, Any]:
  """Measures all that was asked for, and tells where it is.

  Returns:
    The content of the JSON: machine, versions, rates and rows.
  """
  described = machine.describe()
  about = facts('benchmarks.ours:about', None)
  packages = {name: version(name) for name in _PACKAGES}
  _print_header(described, about, packages, out)
  limited = {'train', 'eval'} & set(arguments.only)
  rates = _rates(arguments, about['backend'], out) if limited else {}
  options = parts.Options(
    networks=arguments.networks,
    batches=arguments.batches,
    precisions=arguments.precisions,
    peers=arguments.peers,
    rounds=arguments.rounds,
    seconds=arguments.seconds,
    loop_steps=arguments.loop_steps,
    pictures=arguments.pictures,
    folder=folder,
    backend=about['backend'],
    rates={
      precision: (max(r['flops'].values()), max(r['bytes'].values()))
      for precision, r in rates.items()
    },
  )
  rows = []
  for part in arguments.only:
    out.print(f'measuring {part} ...')
    for row in parts.PARTS[part](options):
      rows.append(row)
      out.print(f'  {row["network"]} {row["batch"] or ""} {row["precision"]}')
  return {
    'command': ' '.join(['python -m benchmarks.run', *arguments.words]),
    'machine': described,
    'device': about['device'],
    'environment': about,
    'packages': packages,
    'rates': rates,
    'rows': rows,
  }


def _rates(
  arguments: argparse.Namespace, backend: str, out: Any
) -> dict[str, Any]:
  # NumPy has nothing to say of a GPU.
  libraries = ('torch', 'jax', *(('numpy',) if backend == 'cpu' else ()))
  found = {}
  for precision in arguments.precisions:
    found[precision] = machine.rates(
      precision, seconds=arguments.seconds, libraries=libraries
    )
    for quantity, unit in (('flops', 'GFLOP/s'), ('bytes', 'GB/s')):
      words = ', '.join(
        f'{name} {rate / 1e9:,.0f}'
        for name, rate in found[precision][quantity].items()
      )
      out.print(f'{precision}, {unit}: {words}', markup=False)
  return found


def _print_header(
  described: dict[str, Any],
  about: dict[str, Any],
  packages: dict[str, str | None],
  out: Any,
) -> None:
  versions = ', '.join(f'{k} {v}' for k, v in packages.items() if v)
  lines = [
    f'{described["processor"]}, {described["cores"]} cores; JAX has '
    f'{about["devices"]} x {about["device"]}',
    f'{versions}, Python {described["python"]}, commit {about["commit"]}',
    f'load average {described["load"]:.2f}, {described["time"]}',
  ]
  for name, value in described['settings'].items():
    lines.append(f'{name}={value}')
  warning = machine.busy(described['load'])
  if warning:
    lines.append(f'warning: {warning}')
  for line in lines:
    out.print(line, markup=False)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    prog='python -m benchmarks.run',
    description=(__doc__ or '').splitlines()[0],
  )
  add, names = parser.add_argument, ', '.join(parts.PARTS)
  add('--only', type=_words(parts.PARTS), default=('train', 'eval'),
      help=f'parts, of {names}; or all')  # fmt: skip
  add('--networks', type=_networks, default=('cifar_resnet20',),
      help='names of files in configs/')  # fmt: skip
  add('--batches', type=_numbers, default=(),
      help="images of a step; default: the recipe's, and 32 for ImageNet's "
      'networks on a CPU')  # fmt: skip
  add('--precisions', type=_words(PRECISIONS), default=('float32',),
      help='of float32, tensorfloat32 (on GPUs) and bfloat16')  # fmt: skip
  add('--peers', type=_words(parts.PEERS), default=('eager', 'malloc'),
      help='of eager, malloc (eager, with our settings of malloc) and '
      'compile; or none')  # fmt: skip
  add('--rounds', type=int, default=5, help='turns of each side')
  add('--seconds', type=float, default=2.0, help='length of a turn')
  add('--loop_steps', type=int, default=200, help='steps of a run of the loop')
  add('--pictures', help='a folder of JPEGs for the input')
  add('--json', type=pathlib.Path, help='file for all figures')
  add('--chart', type=pathlib.Path, help='file for a chart, such as speed.png')
  found = parser.parse_args(argv)
  found.words = tuple(sys.argv[1:] if argv is None else argv)
  return found


def _words(known: Any) -> Any:
  def parse(text: str) -> tuple[str, ...]:
    if text in ('all', 'none'):
      return tuple(known) if text == 'all' else ()
    words = tuple(text.split(','))
    for word in words:
      if word not in known:
        raise argparse.ArgumentTypeError(
          f'{word!r} is not one of {", ".join(known)}'
        )
    return words

  return parse


def _networks(text: str) -> tuple[str, ...]:
  try:
    for name in text.split(','):
      config_file(name)
  except FileNotFoundError as e:
    raise argparse.ArgumentTypeError(str(e)) from e
  return tuple(text.split(','))


def _numbers(text: str) -> tuple[int, ...]:
  if not re.fullmatch(r'[1-9]\d*(,[1-9]\d*)*', text):
    raise argparse.ArgumentTypeError(f'{text!r} is no list of numbers')
  return tuple(int(word) for word in text.split(','))


if __name__ == '__main__':
  main()
