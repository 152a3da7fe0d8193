"""Compiles the training step of a config for an H100, and tells what it costs.

  python -m benchmarks.gpu_program configs/cifar_resnet20.py
  python -m benchmarks.gpu_program configs/imagenet_resnet50.py --devices=8 \\
    --batch=256 --config.model.dtype=bfloat16 --json=resnet50.json

No GPU and no data are needed, but JAX's CUDA plugin (benchmarks/gpu_target.py).
The step is the one that training runs, and figures are those of one device and
one step. benchmarks/kernels.py says what counts as a kernel, a byte, a FLOP.
"""

import argparse
import collections
import json
import pathlib
import re
import time
from typing import Any

import jax
import ml_collections
from absl import flags
from rich.console import Console
from rich.table import Table

from benchmarks import blank_data, gpu_target, hlo
from benchmarks.kernels import Kernel, awaited, kernels
from resnet_jax import experiment, main, train
from resnet_jax.config import checks
from resnet_jax.shell import shell
from resnet_jax.state import TrainMetrics


def run() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__.splitlines()[0],
    epilog='Fields of the config are set by --config.FIELD=VALUE.',
  )
  parser.add_argument('config', help='config file')
  parser.add_argument('--devices', type=int, default=1, help='H100s of a host')
  parser.add_argument(
    '--batch', type=int, help="examples, in the config's place"
  )
  parser.add_argument(
    '--largest',
    type=int,
    default=0,
    metavar='N',
    help='list the N kernels that move most bytes',
  )
  parser.add_argument('--json', type=pathlib.Path, help='write the figures')
  parser.add_argument('--hlo', type=pathlib.Path, help='write the program')
  arguments, fields = parser.parse_known_args()
  with shell():
    gpu_target.prepare(arguments.devices)
    main.parse_flags(['', f'--config={arguments.config}', *fields])
    config = flags.FLAGS.config
    if arguments.batch:
      config.batch_size = arguments.batch
    compiled, seconds = compile_step(config, arguments.devices)
    text = compiled.as_text()
    program = hlo.parse(text)
    found = kernels(program)
    report = describe(program) | memory(compiled, config, arguments.devices)
    report = (
      {
        'config': arguments.config,
        'fields': fields,
        'batch': config.batch_size,
        'devices': arguments.devices,
        'jax': jax.__version__,
      }
      | report
      | seconds
    )
    show(report)
    show_largest(found, arguments.largest)
    if arguments.json:
      arguments.json.write_text(json.dumps(report, indent=2) + '\n')
    if arguments.hlo:
      arguments.hlo.write_text(text)


def compile_step(
  config: ml_collections.ConfigDict, devices: int
) -> tuple[Any, dict[str, float]]:
  """The compiled training step, and the seconds that it took.

  Raises:
    UserError: the config cannot be run so, or the plugin is missing.
  """
  h100s = gpu_target.h100s(devices)
  checks.check(config)
  run = experiment.build(config, loader=blank_data.load)
  arguments = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype),
    (
      jax.eval_shape(run.initial_state),
      jax.eval_shape(TrainMetrics.empty),
      *run.feed.at(0),
    ),
  )
  step = train.build_step(run, h100s)
  start, cpu_start = time.monotonic(), time.process_time()
  lowered = step.lower(*arguments)
  traced, cpu_traced = time.monotonic(), time.process_time()
  compiled = lowered.compile()
  return compiled, {
    'trace_seconds': traced - start,
    'trace_cpu_seconds': cpu_traced - cpu_start,
    'compile_seconds': time.monotonic() - traced,
    'compile_cpu_seconds': time.process_time() - cpu_traced,
  }


def describe(program: hlo.Program) -> dict[str, Any]:
  """Counts of kernels, bytes, FLOPs and collectives, and the least time."""
  counts: collections.Counter[str] = collections.Counter()
  moved: collections.Counter[str] = collections.Counter()
  flops: collections.Counter[str] = collections.Counter()
  bound = 0.0
  found, inside = kernels(program), awaited(program)
  for k in found:
    counts[k.kind] += k.times
    moved[k.kind] += k.times * k.bytes
    flops[_precision(k)] += k.times * k.flops
    bound += k.times * max(k.bytes / gpu_target.BANDWIDTH, _product_time(k))
  flops = collections.Counter({p: n for p, n in flops.items() if n})
  collectives = [k for k in found if k.kind == 'collective']
  awaited_ones = [k for k in collectives if k.instruction.name in inside]
  norms = [k for k in awaited_ones if _is_norm(k)]
  return {
    'kernels': counts.total(),
    'kernels_by_kind': dict(counts),
    'bytes': moved.total(),
    'bytes_by_kind': dict(moved),
    'flops': dict(flops),
    'seconds_of_bytes': moved.total() / gpu_target.BANDWIDTH,
    'seconds_of_flops': sum(n / gpu_target.FLOPS[p] for p, n in flops.items()),
    'least_seconds': bound,
    'collectives': sum(k.times for k in collectives),
    'collective_bytes': sum(_sent(k) for k in collectives),
    'awaited_collectives': sum(k.times for k in awaited_ones),
    'bn_collectives': sum(k.times for k in norms),
    'bn_collective_bytes': sum(_sent(k) for k in norms),
  }


def memory(
  compiled: Any, config: ml_collections.ConfigDict, devices: int
) -> dict[str, Any]:
  """Bytes of a device, and the largest batch that they leave room for.

  Temporaries are taken to grow with the batch, and nothing else.
  """
  of = compiled.memory_analysis()
  new = of.output_size_in_bytes - of.alias_size_in_bytes
  fixed = of.argument_size_in_bytes + new
  usable = gpu_target.USABLE * gpu_target.MEMORY
  share = config.batch_size // devices
  room = int((usable - fixed) / (of.temp_size_in_bytes / share))
  group = min(config.model.bn_group_size, share) or 1
  return {
    'argument_bytes': of.argument_size_in_bytes,
    'donated_bytes': of.alias_size_in_bytes,
    'new_output_bytes': new,
    'temporary_bytes': of.temp_size_in_bytes,
    'peak_bytes': fixed + of.temp_size_in_bytes,
    'usable_bytes': usable,
    'largest_batch': room // group * group * devices,
  }


def show(report: dict[str, Any]) -> None:
  """Prints the figures as a table."""
  peaks = ', '.join(
    f'{name.upper()} {rate / 1e12:g} TFLOP/s'
    for name, rate in gpu_target.FLOPS.items()
    if name in report['flops']
  )
  table = Table(
    title=f'{report["config"]}, batch {report["batch"]} on '
    f'{report["devices"]} x H100, jax {report["jax"]}',
    caption=f'one device, one step; peaks: {peaks}, '
    f'{gpu_target.BANDWIDTH / 1e12:g} TB/s',
    title_justify='left',
    caption_justify='left',
    show_header=False,
  )
  table.add_column()
  table.add_column(justify='right')
  table.add_column()
  kinds = report['kernels_by_kind']
  table.add_row(
    'kernels', f'{report["kernels"]:,}', _listed(kinds, lambda n: f'{n:,}')
  )
  table.add_row(
    'bytes moved',
    _size(report['bytes']),
    _listed(report['bytes_by_kind'], _size),
  )
  for precision, flops in report['flops'].items():
    table.add_row('products', f'{flops / 1e12:.3f} TFLOP', precision.upper())
  for key, label, remark in (
    ('seconds_of_bytes', 'time of the bytes', ''),
    ('seconds_of_flops', 'time of the FLOPs', ''),
    ('least_seconds', 'least time', 'the longer of the two, kernel by kernel'),
  ):
    table.add_row(label, f'{1e3 * report[key]:.3f} ms', remark)
  table.add_section()
  for key, label, remark in (
    (
      'argument_bytes',
      'arguments',
      f'{_size(report["donated_bytes"])} of them updated in place',
    ),
    ('new_output_bytes', 'new outputs', ''),
    ('temporary_bytes', 'temporaries', "without cuDNN's own"),
    ('peak_bytes', 'memory', _fits(report)),
  ):
    table.add_row(label, _size(report[key]), remark)
  table.add_row(
    'largest batch', f'{report["largest_batch"]:,}', 'by this proportion'
  )
  table.add_section()
  table.add_row(
    'collectives',
    f'{report["collectives"]:,}',
    _size(report['collective_bytes']),
  )
  table.add_row('the passes wait for', f'{report["awaited_collectives"]:,}', '')
  table.add_row(
    "of them BN's",
    f'{report["bn_collectives"]:,}',
    _size(report['bn_collective_bytes']),
  )
  table.add_section()
  for key in ('trace', 'compile'):
    table.add_row(
      key,
      f'{report[f"{key}_seconds"]:.1f} s',
      f'{report[f"{key}_cpu_seconds"]:.1f} s of CPU time',
    )
  Console(width=80).print(table)


def show_largest(found: list[Kernel], count: int) -> None:
  """Prints the kernels that move most bytes."""
  for k in sorted(found, key=lambda k: -k.times * k.bytes)[:count]:
    times = f'{k.times} x ' if k.times > 1 else ''
    print(
      f'{_size(k.bytes):>9}  {k.kind:12} {times}{k.instruction.name}  '
      f'{_place(k)}'
    )


def _precision(kernel: Kernel) -> str:
  if kernel.dtype == 'f32' and not kernel.exact:
    return 'tf32'
  return kernel.dtype


def _product_time(kernel: Kernel) -> float:
  if not kernel.flops:
    return 0.0
  return kernel.flops / gpu_target.FLOPS[_precision(kernel)]


def _place(kernel: Kernel) -> str:
  """The place in the network that a kernel came from, shortened."""
  return re.sub(
    r'jit\(_fun\)/|ResNet\.features/', '', kernel.instruction.op_name
  )


def _is_norm(kernel: Kernel) -> bool:
  """Whether a collective that a pass waits for is that of a BN group.

  XLA may make a pass wait for gradients, too. It drops the name of those that
  it joins; then they are BN's where some devices form a group, and not all.
  """
  groups = kernel.instruction.attribute('replica_groups')
  return 'jvp(' in kernel.instruction.op_name or '},{' in groups


def _sent(kernel: Kernel) -> int:
  """Bytes that a collective hands over in all its runs."""
  return kernel.times * kernel.instruction.bytes


def _fits(report: dict[str, Any]) -> str:
  usable = report['usable_bytes']
  verdict = 'fits' if report['peak_bytes'] <= usable else 'does not fit'
  return (
    f'{verdict} into the {_size(usable)} that JAX takes of '
    f'{_size(gpu_target.MEMORY)}'
  )


def _listed(values: dict[str, int], form: Any) -> str:
  ordered = sorted(values.items(), key=lambda item: -item[1])
  return ', '.join(f'{name} {form(value)}' for name, value in ordered)


def _size(count: float) -> str:
  for unit, scale in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
    if count >= scale:
      return f'{count / scale:.3g} {unit}'
  return f'{count:.0f} B'


if __name__ == '__main__':
  run()
