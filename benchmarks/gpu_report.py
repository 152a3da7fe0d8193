"""The figures of a program that was compiled for an H100, and their table."""

import collections
import re
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections
from rich.console import Console
from rich.table import Table

from benchmarks import gpu_target, hlo
from benchmarks.kernels import Kernel, awaited


def describe(program: hlo.Program, found: list[Kernel]) -> dict[str, Any]:
  """Counts of kernels, bytes, FLOPs and collectives, and the least time.

  Args:
    program: The program.
    found: Its kernels.
  """
  counts: collections.Counter[str] = collections.Counter()
  moved: collections.Counter[str] = collections.Counter()
  flops: collections.Counter[str] = collections.Counter()
  bound = 0.0
  inside = awaited(program)
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
    'messages': [
      {'bytes': _sent(k), 'products_left': products_left}
      for k, products_left in _with_products_left(found)
      if k.kind == 'collective' and k not in norms
    ],
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
  for message in report['messages']:
    table.add_row(
      'leaves',
      f'{message["products_left"]:,}',
      f'products before the end: {_size(message["bytes"])}',
    )
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


def _with_products_left(found: list[Kernel]) -> Iterator[tuple[Kernel, int]]:
  """Each kernel with the number of products that begin after it."""
  left = sum(k.times for k in found if k.kind == 'product')
  for k in found:
    left -= k.times if k.kind == 'product' else 0
    yield k, left


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


def _listed(values: dict[str, int], form: Callable[[float], str]) -> str:
  ordered = sorted(values.items(), key=lambda item: -item[1])
  return ', '.join(f'{name} {form(value)}' for name, value in ordered)


def _size(count: float) -> str:
  for unit, scale in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
    if count >= scale:
      return f'{count / scale:.3g} {unit}'
  return f'{count:.0f} B'
