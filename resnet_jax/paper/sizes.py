"""Table 1 and the sizes of all networks as Markdown, computed without runs."""

from resnet_jax.paper import published
from resnet_jax.paper.architecture import Summary, summary
from resnet_jax.paper.markdown import difference, escape, number, strong
from resnet_jax.paper.section import Section, printed_name

_DEPTHS = (20, 32, 44, 56, 110)
_CIFAR = (
  *(f'cifar_plain{depth}' for depth in _DEPTHS),
  *(f'cifar_resnet{depth}' for depth in (*_DEPTHS, 1202)),
)
# Networks for ImageNet, in the variants that differ in size.
_IMAGENET: tuple[tuple[str, dict[str, str]], ...] = (
  *((name, {}) for name in ('plain18', 'plain34')),
  *(
    (name, {'shortcut': option})
    for name in ('resnet18', 'resnet34')
    for option in 'ABC'
  ),
  *(
    (name, {'version': version})
    for name in ('resnet50', 'resnet101', 'resnet152')
    for version in ('v1', 'v1.5')
  ),
  *((name, {}) for name in ('alexnet', 'vgg16', 'vgg19', 'googlenet')),
)


def table1(section: Section) -> list[str]:
  """Layers, parameters and arithmetic of all networks."""
  nets = {name: summary(f'resnet{name[7:]}') for name in published.STAGES}
  rows = [
    [
      row[0].name,
      str(row[0].output_size),
      *(_unbroken(stage.text) for stage in row),
    ]
    for row in zip(*(net.stages for net in nets.values()), strict=True)
  ]
  others = [
    f'{stage.name} of {name} is {text}'
    for name, net in nets.items()
    for stage, text in zip(net.stages, published.STAGES[name], strict=True)
    if stage.text != text
  ]
  words = f'other cells: {", ".join(others)}' if others else 'the same cells'
  columns = [
    'stage',
    '>size',
    *(f'{net.depth} layers' for net in nets.values()),
  ]
  caption = 'Layers of the residual networks; the plain ones have the same'
  return [
    *section.table(caption, columns, rows),
    escape(f"The paper's Table 1 has {words}."),
    *_imagenet_sizes(section),
    *_cifar_sizes(section),
  ]


def _unbroken(text: str) -> str:
  """The layers of a cell, each of which stays on one line."""
  unbroken = escape(text).replace(' ', '\N{NO-BREAK SPACE}')
  return unbroken.replace(';\N{NO-BREAK SPACE}', '; ')


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
    counted = _counted(net, 1e6, 2)
    compared = [number(paper), difference(net.params / 1e6, paper)]
    rows.append([name, *counted, *compared])
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
