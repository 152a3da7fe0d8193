"""How training scales: an estimate for many GPUs, and a measurement of yours.

  python -m benchmarks.scaling --estimate
  python -m benchmarks.scaling --estimate --gpus=8,64 --share=32 --rate=6300
  python -m benchmarks.scaling --network=imagenet_resnet50 --share=256 \\
    --precision=bfloat16 --json=scaling.json
  python -m benchmarks.scaling --coordinator=HOST:PORT --num_hosts=N --host=I

Without --estimate it measures the training step on 1, 2, 4 ... devices of this
host, each number in a process of its own, and, started on each of several hosts
with the flags of training, on all devices of all hosts. Weak scaling keeps the
examples of a device, strong scaling those of all. Data are noise that is on the
devices before: `benchmarks.run --only=input` measures the input.

The estimate beside a measurement starts from the rate of one device as it was
measured here. Its other assumptions are flags; docs/scaling.md explains them.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from absl import flags
from jax.experimental import multihost_utils

from benchmarks import ours, rounds, scaling_report
from benchmarks.cases import PRECISIONS, Case, is_cifar, write_images
from benchmarks.estimate import Cluster, Model, estimate
from benchmarks.scaling_report import Measured
from resnet_jax import main
from resnet_jax.config import shipped
from resnet_jax.hosts import cluster
from resnet_jax.shell import shell

# ResNet-50 in bfloat16 on one H200, from docs/performance.md, and the messages
# of its step on 8 GPUs, from benchmarks/gpu_program.py.
_RATE, _SHARE = 7157.0, 256
_MESSAGES = (26.26e6, 30.24e6, 30.48e6, 15.46e6)
_SHARE_ON_CPU = 16


def run(argv: Sequence[str] | None = None) -> None:
  arguments, job = _arguments(argv)
  assumed = Cluster(
    **{f.name: getattr(arguments, f.name) for f in dataclasses.fields(Cluster)}
  )
  with shell():
    if arguments.estimate:
      model = Model(
        arguments.rate or _RATE,
        arguments.share or _SHARE,
        _MESSAGES,
        arguments.overlap,
      )
      rows = [estimate(model, assumed, n) for n in arguments.counts]
      scaling_report.show_estimate(rows, model, assumed)
      content = [dataclasses.asdict(row) for row in rows]
    else:
      main.parse_flags(['', *job])
      found = list(_measure(arguments))
      if jax.process_index():
        return
      scaling_report.show_measured(
        found, arguments.network, assumed, arguments.overlap
      )
      content = [dataclasses.asdict(row) for row in found]
    if arguments.json:
      arguments.json.write_text(json.dumps(content, indent=2) + '\n')


def _measure(arguments: argparse.Namespace) -> Iterator[Measured]:
  """Measures numbers of devices of this host, then all of all hosts."""
  with tempfile.TemporaryDirectory() as folder:
    data = _data(arguments.network, pathlib.Path(folder))
    about = rounds.facts(
      'benchmarks.ours:about', None, _devices(arguments.cpu_devices)
    )
    on_gpu, most = about['backend'] != 'cpu', about['devices']
    share = arguments.share or (_SHARE if on_gpu else _SHARE_ON_CPU)
    counts = sorted({most} | {2**k for k in range(most.bit_length())})
    for count in counts:
      environment = _devices(None if on_gpu else count)
      if on_gpu:
        environment = {'CUDA_VISIBLE_DEVICES': ','.join(map(str, range(count)))}
      for kind, batch in _batches(arguments.kinds, share, count, most):
        case = Case(arguments.network, batch, arguments.precision, data)
        with rounds.Worker('benchmarks.ours:training', case, environment) as w:
          rates = rounds.interleave(
            {'': w}, rounds=arguments.rounds, seconds=arguments.seconds
          )['']
        yield Measured(kind, 1, count, batch, tuple(rates))
    if not _several_hosts():
      return
    if not on_gpu:
      jax.config.update('jax_num_cpu_devices', most)
    main._join_hosts(shipped.common().get_config())
    hosts, devices = jax.process_count(), jax.device_count()
    for kind, batch in _batches(arguments.kinds, share, devices, most):
      case = Case(arguments.network, batch, arguments.precision, data)
      rates = _together(case, arguments.rounds, arguments.seconds)
      yield Measured(kind, hosts, devices, batch, tuple(rates))


def _several_hosts() -> bool:
  given = flags.FLAGS
  place = cluster.find(
    given.coordinator,
    given.num_hosts,
    given.host,
    detect=given.cluster == 'auto',
  )
  return place is not None


def _together(case: Case, turns: int, seconds: float) -> list[float]:
  """Rates of `case` on all devices of all hosts, in this process."""
  work, _ = ours.training(case)
  once = rounds.timed(work, 1)[1]
  # All hosts do as many steps.
  slowest = multihost_utils.process_allgather(np.float32(once)).max()
  repeats = max(1, round(seconds / float(slowest)))
  return [rounds.timed(work, repeats)[0] for _ in range(turns)]


def _batches(
  kinds: Sequence[str], share: int, devices: int, most: int
) -> Iterator[tuple[str, int]]:
  """The batches of each kind of scaling; strong is that of `most` devices."""
  for kind in kinds:
    batch = share * (devices if kind == 'weak' else most)
    if batch % devices == 0:
      yield kind, batch


def _devices(count: int | None) -> dict[str, str]:
  """The environment in which the CPU is so many devices."""
  if count is None:
    return {}
  return {'XLA_FLAGS': f'--xla_force_host_platform_device_count={count}'}


def _data(network: str, folder: pathlib.Path) -> str:
  small = is_cifar(network)
  return write_images(
    folder,
    side=32 if small else 224,
    classes=10 if small else 1000,
    tests=1,
  )


def _arguments(
  argv: Sequence[str] | None,
) -> tuple[argparse.Namespace, list[str]]:
  """What was asked for, and the flags of training that are left."""
  parser = argparse.ArgumentParser(
    description=(__doc__ or '').splitlines()[0],
    formatter_class=argparse.ArgumentDefaultsHelpFormatter,
  )
  add = parser.add_argument
  add('--estimate', action='store_true', help='measure nothing')
  add('--gpus', default='8,64,256,1024', help='numbers to estimate', dest='of')
  add('--rate', type=float, help='images/s of one GPU alone (measured)')
  add('--share', type=int, help='examples of a GPU')
  add('--network', default='imagenet_resnet50', help='a file of configs/')
  add('--precision', default='bfloat16', choices=PRECISIONS)
  add('--kinds', default='weak,strong', help='kinds of scaling')
  add('--rounds', type=int, default=3, help='turns of each number')
  add('--seconds', type=float, default=5.0, help='length of a turn')
  add('--cpu_devices', type=int, help='without a GPU: devices of the CPU')
  add('--json', type=pathlib.Path, help='write the figures')
  group = parser.add_argument_group('what the estimate assumes')
  group.add_argument(
    '--overlap',
    type=float,
    default=Model.overlap,
    help='part of the step that is left when the first message leaves',
  )
  helps = {
    'gpus': 'GPUs of a host',
    'inside': 'bytes/s of a GPU to the next of its host',
    'between': "bytes/s of a GPU's network card",
    'hop_inside': 's from GPU to GPU without any bytes',
    'hop_between': 's from host to host without any bytes',
    'cores': 'processor cores of a host; 0 leaves the input out',
    'pictures': 'JPEGs/s that a core decodes (measured)',
  }
  for field in dataclasses.fields(Cluster):
    name = 'gpus_a_host' if field.name == 'gpus' else field.name
    group.add_argument(
      f'--{name}',
      type=type(field.default),
      default=field.default,
      dest=field.name,
      help=helps[field.name],
    )
  arguments, job = parser.parse_known_args(argv)
  arguments.counts = [int(n) for n in arguments.of.split(',')]
  arguments.kinds = arguments.kinds.split(',')
  return arguments, job


if __name__ == '__main__':
  run(sys.argv[1:])
