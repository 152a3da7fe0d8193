"""The tables of benchmarks/scaling.py."""

import dataclasses
import statistics
from collections.abc import Sequence

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cases import config_file
from benchmarks.estimate import Cluster, Model, Row, estimate
from resnet_jax import collectives
from resnet_jax.config.file import load_config
from resnet_jax.config.plan import create_model


@dataclasses.dataclass(frozen=True)
class Measured:
  """A row of the measurement.

  Attributes:
    kind: 'weak' or 'strong'.
    hosts, devices: How many, in all.
    batch: Images of a step, over all.
    rates: Images per second of each round.
  """

  kind: str
  hosts: int
  devices: int
  batch: int
  rates: tuple[float, ...]

  @property
  def rate(self) -> float:
    return statistics.median(self.rates)


def show_estimate(rows: Sequence[Row], model: Model, cluster: Cluster) -> None:
  """Prints an estimate with what it assumes."""
  table = Table(
    title=f'{model.share} examples a GPU, {model.rate:,.0f} images/s of one '
    f'alone ({1e3 * model.step:.1f} ms a step)',
    caption=_assumptions(model, cluster),
    title_justify='left',
    caption_justify='left',
  )
  for name in ('GPUs', 'hosts', 'batch', 'ms of messages', 'ms waited'):
    table.add_column(name, justify='right')
  for name in ('images/s', 'efficiency', 'cores a host', 'bound by'):
    table.add_column(name, justify='right')
  for row in rows:
    table.add_row(
      f'{row.gpus:,}',
      f'{row.hosts:,}',
      f'{row.batch:,}',
      f'{1e3 * row.messages:.2f}',
      f'{1e3 * row.waited:.2f}',
      f'{row.rate:,.0f}',
      f'{100 * row.efficiency:.1f} %',
      f'{row.cores:.0f}',
      'input' if row.by_input else 'GPUs',
    )
  Console(width=100).print(table)


def show_measured(
  rows: Sequence[Measured], network: str, cluster: Cluster, overlap: float
) -> None:
  """Prints what was measured, the estimate beside it."""
  first = rows[0]
  alone = first.rate / first.devices
  table = Table(
    title=f'{network} on {jax.devices()[0].device_kind}',
    caption='estimate: from the rate of one device above, the input left out',
    title_justify='left',
    caption_justify='left',
  )
  table.add_column('scaling')
  for name in ('hosts', 'devices', 'batch', 'images/s', 'efficiency'):
    table.add_column(name, justify='right')
  table.add_column('estimate', justify='right')
  sizes = message_sizes(network)
  for row in rows:
    model = Model(alone, row.batch // row.devices, sizes, overlap)
    own = dataclasses.replace(cluster, gpus=row.devices // row.hosts, cores=0)
    spread = (max(row.rates) - min(row.rates)) / 2
    table.add_row(
      row.kind,
      f'{row.hosts:,}',
      f'{row.devices:,}',
      f'{row.batch:,}',
      f'{row.rate:,.1f} ± {spread:,.1f}',
      f'{100 * row.rate / row.devices / alone:.1f} %',
      f'{100 * estimate(model, own, row.devices).efficiency:.1f} %',
    )
  Console(width=100).print(table)


def message_sizes(network: str) -> tuple[float, ...]:
  """Bytes of the messages of a step of a network, in their order."""
  config = load_config(str(config_file(network)))
  model = create_model(config, num_classes=1000)
  side = config.dataset.crop_size or 32
  variables = jax.eval_shape(
    model.init,
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, side, side, 3), np.float32),
  )
  # Memory that is not touched is not taken.
  arrays = [
    np.empty(x.shape, x.dtype) for x in jax.tree.leaves(variables['params'])
  ]
  messages = collectives.messages(arrays[::-1])
  return tuple(float(sum(x.nbytes for x in m)) for m in messages)


def _assumptions(model: Model, cluster: Cluster) -> str:
  sizes = ', '.join(f'{size / 1e6:.1f}' for size in model.messages)
  return (
    f'messages of {sizes} MB, the first {100 * model.overlap:.0f} % of the '
    f'step before its end; {cluster.gpus} GPUs a host, '
    f'{cluster.inside / 1e9:g} GB/s from one to the next and '
    f'{1e6 * cluster.hop_inside:g} us, {cluster.between / 1e9:g} GB/s of the '
    f'network card of each and {1e6 * cluster.hop_between:g} us; '
    f'{cluster.cores} cores a host, {cluster.pictures:g} JPEGs/s a core'
  )
