"""Table 1 and the sizes of all networks, read off the modules, as Markdown.

  for stage in summary('resnet50').stages:
    print(stage.name, stage.output_size, stage.text)

No row is typed in: a net that was built wrongly gives another table than the
paper's.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from resnet_jax import models
from resnet_jax.models import complexity
from resnet_jax.models.complexity import Layer
from resnet_jax.paper import published
from resnet_jax.paper.markdown import difference, escape, number, strong
from resnet_jax.paper.published import printed_name
from resnet_jax.paper.section import Section

_POOLS = ('max_pool', 'avg_pool')
# VGG's conv3_2 and GoogLeNet's conv2_reduce are layers of conv3 and conv2.
_STEP = re.compile(r'_(\d+|reduce)$')

_DEPTHS = (20, 32, 44, 56, 110)
_CIFAR = (
  *(f'cifar_plain{depth}' for depth in _DEPTHS),
  *(f'cifar_resnet{depth}' for depth in (*_DEPTHS, 1202)),
)
# Networks for ImageNet, in the variants that differ in size.
_PLAIN: list[dict[str, str]] = [{}]
_SHORTCUTS = [{'shortcut': option} for option in 'ABC']
_VERSIONS = [{'version': version} for version in ('v1', 'v1.5')]
_IMAGENET: tuple[tuple[str, dict[str, str]], ...] = (
  *itertools.product(('plain18', 'plain34'), _PLAIN),
  *itertools.product(('resnet18', 'resnet34'), _SHORTCUTS),
  *itertools.product(('resnet50', 'resnet101', 'resnet152'), _VERSIONS),
  *itertools.product(('alexnet', 'vgg16', 'vgg19', 'googlenet'), _PLAIN),
)


@dataclasses.dataclass(frozen=True)
class StageSummary:
  """A row of Table 1.

  Attributes:
    name: Name such as 'conv1', 'conv2_x' or 'fc'.
    output_size: Height, and width, of its last maps in pixels.
    text: Layers, such as '3x3 max pool, stride 2; [3x3, 64; 3x3, 64] x 3'. As
      in Table 1, a pooling stands before what it feeds, projections of
      shortcuts are left out, and so are the strides of blocks.
  """

  name: str
  output_size: int
  text: str


@dataclasses.dataclass(frozen=True)
class Summary:
  """A column of Table 1.

  Attributes:
    depth: Number of weighted layers, counted as the paper does: convolutions
      and fc, without the projections of shortcuts.
    params: Number of parameters with those of BN, without its running
      statistics; GoogLeNet's with its auxiliary heads, which testing does not
      compute.
    macs: Multiply-adds of convolutions and fc for one image.
    conv_macs: Multiply-adds of convolutions alone, which is what the paper
      gives for VGG-16: 15.3e9.
    stages: Rows from the image to fc.
  """

  depth: int
  params: int
  macs: int
  conv_macs: int
  stages: tuple[StageSummary, ...]


def table1(section: Section) -> list[str]:
  """Layers, parameters and arithmetic of all networks."""
  nets = {name: summary(f'resnet{name[7:]}') for name in published.STAGES}
  rows = []
  for row in zip(*(net.stages for net in nets.values()), strict=True):
    texts = [_unbroken(stage.text) for stage in row]
    rows.append([row[0].name, str(row[0].output_size), *texts])
  others = [
    f'{stage.name} of {name} is {text}'
    for name, net in nets.items()
    for stage, text in zip(net.stages, published.STAGES[name], strict=True)
    if stage.text != text
  ]
  words = f'other cells: {", ".join(others)}' if others else 'the same cells'
  depths = [f'{net.depth} layers' for net in nets.values()]
  caption = 'Layers of the residual networks; the plain ones have the same'
  return [
    *section.table(caption, ['stage', '>size', *depths], rows),
    escape(f"The paper's Table 1 has {words}."),
    *_imagenet_sizes(section),
    *_cifar_sizes(section),
  ]


@functools.cache
def summary(name: str, **overrides: Any) -> Summary:
  """The network `name` on images of the size that the paper gives it.

  Args:
    name: Name in `models.create`.
    **overrides: Fields of the network, for `models.create`.

  Raises:
    ValueError: There is no such network.
  """
  model = models.create(name, **overrides)
  shape = models.input_shape(name)
  variables = complexity.abstract_variables(model, shape)
  layers = complexity.layers(model, shape, variables=variables, pools=True)
  return Summary(
    depth=max(layer.depth for layer in layers),
    params=models.count_params(variables),
    macs=sum(layer.macs for layer in layers),
    conv_macs=sum(layer.macs for layer in layers if layer.kind == 'conv'),
    stages=tuple(
      StageSummary(stage, members[-1].output_shape[0], _text(members))
      for stage, members in stages(main_path(layers)).items()
    ),
  )


def main_path(layers: Iterable[Layer]) -> list[Layer]:
  """`layers` without the projections of shortcuts."""
  name = 'shortcut_conv'
  return [layer for layer in layers if layer.path.split('/')[-1] != name]


def stages(layers: Iterable[Layer]) -> dict[str, list[Layer]]:
  """The layers of each row of Table 1; a pooling is with what it feeds."""
  found: dict[str, list[Layer]] = {}
  pools: list[Layer] = []
  for layer in layers:
    if layer.kind in _POOLS:
      pools.append(layer)
      continue
    stage = _STEP.sub('', layer.path.partition('/')[0])
    found.setdefault(stage, []).extend([*pools, layer])
    pools.clear()
  return found


def blocks(layers: Iterable[Layer]) -> list[list[Layer]]:
  """The layers of each building block; those outside of blocks, one by one."""
  found = []
  for block, group in itertools.groupby(layers, _block):
    members = list(group)
    found += [members] if block else [[layer] for layer in members]
  return found


def branches(block: Sequence[Layer]) -> list[list[Layer]]:
  """The branches of an Inception module; other blocks have one."""
  found = [[block[0]]]
  for before, layer in itertools.pairwise(block):
    if layer.depth == before.depth + (layer.kind not in _POOLS):
      found[-1].append(layer)
    else:
      found.append([layer])
  return found


def _block(layer: Layer) -> str:
  return layer.path.rpartition('/')[0]


def _text(members: Sequence[Layer]) -> str:
  """A cell of Table 1, in which equal blocks are counted."""
  texts = []
  for text, group in itertools.groupby(map(_block_text, blocks(members))):
    times = len(list(group))
    bracket = f'[{text}]' if times > 1 or ';' in text else text
    texts.append(f'{bracket} x {times}' if times > 1 else bracket)
  return '; '.join(texts)


def _block_text(block: Sequence[Layer]) -> str:
  return ' | '.join(
    '; '.join(map(_layer_text, branch)) for branch in branches(block)
  )


def _layer_text(layer: Layer) -> str:
  if layer.kind == 'fc':
    return f'{layer.output_shape[2]}-d fc'
  if layer.kind == 'avg_pool':
    return 'average pool'
  window = 'x'.join(map(str, layer.kernel))
  stride = f', stride {layer.stride[0]}' if layer.stride[0] != 1 else ''
  if layer.kind == 'max_pool':
    return f'{window} max pool{stride}'
  groups = f', {layer.groups} groups' if layer.groups != 1 else ''
  # Table 1 leaves the strides of blocks to its caption: equal blocks are one.
  shown = '' if _block(layer) else stride
  return f'{window}, {layer.output_shape[2]}{groups}{shown}'


def _unbroken(text: str) -> str:
  """The layers of a cell: each stays on one line, but a pool and its stride."""
  unbroken = escape(text).replace(' ', '\N{NO-BREAK SPACE}')
  for end in (';', 'pool,'):
    unbroken = unbroken.replace(f'{end}\N{NO-BREAK SPACE}', f'{end} ')
  return unbroken


def _imagenet_sizes(section: Section) -> list[str]:
  rows = []
  for name, variant in _IMAGENET:
    net = summary(name, **variant)
    # The paper gives the FLOPs of one variant of each depth.
    column = printed_name(name.replace('plain', 'resnet'))
    of_paper = variant in ({}, {'shortcut': 'A'}, {'version': 'v1'})
    paper = published.FLOPS.get(column) if of_paper else None
    rows.append(
      [
        ' '.join([name, *variant.values()]),
        *_counted(net, 1e9, 4),
        strong(number(net.conv_macs / 1e9, 4)),
        number(paper, 1),
        difference(net.macs / 1e9, paper, 1),
      ]
    )
  columns = ['network', '>layers', '>parameters', '>FLOPs', '>of conv']
  columns += [">paper's FLOPs", '>difference']
  return [
    *section.table(
      'Networks for ImageNet, 224x224 pixels; FLOPs in 1e9', columns, rows
    ),
    'FLOPs are multiply-adds, as in the paper. It gives them by depth: for '
    'plain nets and shortcut A, and for bottlenecks with the stride in the '
    'first 1x1 (v1). For VGG-16 it counts the convolutions alone. GoogLeNet '
    'has its auxiliary heads among its parameters; they are not evaluated.',
  ]


def _cifar_sizes(section: Section) -> list[str]:
  rows = []
  for name in _CIFAR:
    net = summary(name)
    row = published.TABLE6.get(printed_name(name))
    paper = row.parameters if row else None
    compared = number(paper), difference(net.params / 1e6, paper)
    rows.append([name, *_counted(net, 1e6, 2), *compared])
  columns = ['network', '>layers', '>parameters', '>FLOPs, 1e6']
  columns += [">paper's parameters, 1e6", '>difference']
  caption = 'Networks for CIFAR-10, 32x32 pixels (Sec. 4.2, Table 6)'
  return section.table(caption, columns, rows)


def _counted(net: Summary, unit: float, digits: int) -> list[str]:
  return [
    str(net.depth),
    strong(f'{net.params:,}'),
    strong(f'{net.macs / unit:,.{digits}f}'),
  ]
