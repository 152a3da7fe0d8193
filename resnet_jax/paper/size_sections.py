"""Table 1 and Fig. 3: computed from the modules, without any run."""

from typing import Any

from resnet_jax.paper import published
from resnet_jax.paper.architecture import summary
from resnet_jax.paper.context import (
  Context,
  cell_of,
)
from resnet_jax.paper.document import (
  Block,
  Cell,
  Table,
  difference,
)
from resnet_jax.paper.drawing import draw


def table1(context: Context) -> list[Block]:
  """Layers, parameters and arithmetic of all networks."""
  del context
  names = list(published.TABLE1)
  nets = [summary(name) for name in names]
  stages = zip(*(net.stages for net in nets), strict=True)
  rows = [
    [
      Cell(stage[0].name),
      Cell(f'{stage[0].output_size}', 'number'),
      *(Cell(one.text.replace('; ', '\n')) for one in stage),
    ]
    for stage in stages
  ]
  layers = Table(
    'Layers of the residual networks; the plain ones have the same',
    ['stage', 'output size', *(f'{net.depth} layers' for net in nets)],
    rows,
  )
  return [
    layers,
    _imagenet_sizes(),
    _cifar_sizes(),
  ]


_IMAGENET = (
  ('plain18', {}),
  ('plain34', {}),
  *(
    (name, {'shortcut': shortcut})
    for name in ('resnet18', 'resnet34')
    for shortcut in 'ABC'
  ),
  *(
    (name, {'version': version})
    for name in ('resnet50', 'resnet101', 'resnet152')
    for version in ('v1', 'v1.5')
  ),
  ('alexnet', {}),
  ('vgg16', {}),
  ('vgg19', {}),
  ('googlenet', {}),
)
_CIFAR = tuple(
  f'cifar_{kind}{depth}'
  for kind in ('plain', 'resnet')
  for depth in (20, 32, 44, 56, 110, 1202)
  if (kind, depth) != ('plain', 1202)
)


def _imagenet_sizes() -> Table:
  rows = []
  for name, overrides in _IMAGENET:
    net = summary(name, **overrides)
    paper, ours = _paper_flops(name, overrides), net.macs / 1e9
    rows.append(
      [
        Cell(' '.join([name, *overrides.values()])),
        Cell(f'{net.depth}', 'number'),
        Cell(f'{net.params:,}', 'ours'),
        Cell(f'{ours:.4f}', 'ours'),
        Cell(f'{net.conv_macs / 1e9:.4f}', 'ours'),
        cell_of(paper, 'paper', 1),
        Cell(difference(ours, paper, 1), 'difference'),
      ]
    )
  return Table(
    'Networks for ImageNet, 224x224 pixels',
    [
      'network',
      'layers',
      'parameters',
      'multiply-adds, 1e9',
      'of which convolutions',
      "paper's FLOPs, 1e9",
      'difference',
    ],
    rows,
    [
      "The paper's FLOPs are multiply-adds. It gives them by depth: for plain "
      'nets and shortcut A, and for bottlenecks with the stride in the first '
      '1x1 (v1). For VGG-16 it counts the convolutions alone. GoogLeNet has '
      'its auxiliary heads among its parameters; they are not evaluated.'
    ],
  )


def _cifar_sizes() -> Table:
  rows = []
  for name in _CIFAR:
    net = summary(name)
    row = published.TABLE6.get(name)
    paper, ours = row and row.parameters, net.params / 1e6
    rows.append(
      [
        Cell(name),
        Cell(f'{net.depth}', 'number'),
        Cell(f'{net.params:,}', 'ours'),
        Cell(f'{net.macs / 1e6:,.2f}', 'ours'),
        cell_of(paper, 'paper', 2),
        Cell(difference(ours, paper), 'difference'),
      ]
    )
  return Table(
    'Networks for CIFAR-10, 32x32 pixels (Sec. 4.2, Table 6)',
    [
      'network',
      'layers',
      'parameters',
      'multiply-adds, 1e6',
      "paper's parameters, 1e6",
      'difference',
    ],
    rows,
  )


def _paper_flops(name: str, overrides: dict[str, Any]) -> float | None:
  """None where the paper's figure is of another variant."""
  if overrides.get('shortcut') in ('B', 'C') or overrides.get('version') == (
    'v1.5'
  ):
    return None
  vgg = {'vgg16': 'VGG-16', 'vgg19': 'VGG-19'}
  if name in vgg:
    return published.VGG[vgg[name]].flops
  row = published.TABLE1.get(name.replace('plain', 'resnet'))
  return row.flops if row else None


def fig3(context: Context) -> list[Block]:
  """Three networks, side by side."""
  names = ('vgg19', 'plain34', 'resnet34')
  return [
    context.figure(
      lambda stem: draw(names, stem),
      'Three columns of boxes, one for each layer: VGG-19, the plain net and '
      'the residual net of 34 layers, whose shortcuts are arcs.',
      'Drawn from the modules. Dotted shortcuts increase dimensions.',
    )
  ]
