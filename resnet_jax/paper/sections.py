"""Each table and figure as a section of a report: the paper's beside ours.

  section = build(targets.find('table6'), root, Scale(), figures_folder)

Ours comes from records alone.
"""

import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from resnet_jax.errors import UserError
from resnet_jax.paper import degradation, figures, published, records
from resnet_jax.paper.architecture import summary
from resnet_jax.paper.document import (
  Block,
  Cell,
  Command,
  Figure,
  Paragraph,
  Section,
  Table,
  difference,
  mean_std,
  number,
)
from resnet_jax.paper.drawing import draw
from resnet_jax.paper.records import Record
from resnet_jax.paper.runs import Scale, expand
from resnet_jax.paper.selection import Selected, select
from resnet_jax.paper.targets import TARGETS, Target, runs_of

_COMMAND = 'python -m resnet_jax.paper'
_PERCENT = 'errors in %'


@dataclasses.dataclass(frozen=True)
class _Context:
  """What a section is made from."""

  target: Target
  root: pathlib.Path
  scale: Scale
  figures: pathlib.Path
  selected: tuple[Selected, ...]

  @property
  def label(self) -> str:
    """How near what is shown is to what the target declares."""
    there = [one for one in self.selected if one.records]
    if not there:
      return 'not run'
    words = sorted({one.how.rsplit(', ', 1)[0] for one in there} - {'in full'})
    text = f'shrunk: {" | ".join(words)}' if words else 'in full'
    if len(there) < len(self.target.members):
      text += f'; {len(there)} of {len(self.target.members)} networks'
    short = [one for one in there if len(one.records) < one.member.seeds]
    if short:
      text += '; fewer seeds than declared'
    return text

  def figure(
    self, draw_it: Callable[[pathlib.Path], None], alt: str, caption: str
  ) -> Figure:
    """Draws it, as PNG and SVG."""
    self.figures.mkdir(parents=True, exist_ok=True)
    stem = self.figures / self.target.name
    draw_it(stem)
    return Figure(stem, alt, caption, self.command('show'))

  def command(self, verb: str) -> str:
    return f'{_COMMAND} {verb} {self.target.name}'

  def missing(self) -> list[str | Command]:
    """How to get what has not been run in full, and what was left out."""
    notes: list[str | Command] = [
      problem for one in self.selected for problem in one.problems
    ]
    whole = all(one.how.startswith('in full') for one in self.selected)
    if not whole or len(self.selected) < len(self.target.members):
      notes.append('What has not been run in full is run, or gone on with, by')
      notes.append(Command(self.command('run')))
    return notes


def build(
  target: Target, root: pathlib.Path, scale: Scale, figures: pathlib.Path
) -> Section:
  """The section of `target`.

  Args:
    target: the table or figure.
    root: the folder of the runs.
    scale: which of them; by default the full ones, or else the longest.
    figures: a folder that figures are drawn in.

  Raises:
    UserError: the scale means nothing for the target, or a figure cannot be
      written.
  """
  selected = tuple(
    select(root, member, scale) for member, _ in runs_of(target, scale)
  )
  context = _Context(target, root, scale, figures, selected)
  computed = not target.members
  try:
    blocks = _BUILDERS[target.name](context)
  except OSError as e:
    raise UserError(
      f'the figures cannot be written to {figures}: {e.strerror or e}; name '
      f'another folder'
    ) from e
  return Section(
    key=target.name,
    title=_title(target),
    blocks=blocks,
    label='computed from the modules' if computed else context.label,
  )


def _title(target: Target) -> str:
  name = target.name
  if name.startswith('table'):
    name = f'Table {name.removeprefix("table")}'
  elif name.startswith('fig'):
    name = f'Fig. {name.removeprefix("fig")}'
  else:
    name = name.capitalize()
  return f'{name}: {target.title}'


# Table 1 and Fig. 3.


def _table1(context: _Context) -> list[Block]:
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
    _sizes('Networks for ImageNet, 224x224 pixels', _IMAGENET),
    _sizes('Networks for CIFAR-10, 32x32 pixels (Sec. 4.2)', _CIFAR),
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
  (f'cifar_{kind}{depth}', {})
  for kind in ('plain', 'resnet')
  for depth in (20, 32, 44, 56, 110, 1202)
  if (kind, depth) != ('plain', 1202)
)


def _sizes(
  caption: str, networks: Sequence[tuple[str, dict[str, Any]]]
) -> Table:
  rows = []
  for name, overrides in networks:
    net = summary(name, **overrides)
    paper = _paper_flops(name, overrides)
    ours = net.macs / 1e9
    rows.append(
      [
        Cell(' '.join([name, *overrides.values()])),
        Cell(f'{net.depth}', 'number'),
        Cell(f'{net.params:,}', 'ours'),
        Cell(f'{ours:.4f}', 'ours'),
        Cell(f'{net.conv_macs / 1e9:.4f}', 'ours'),
        _cell(paper, 'paper', 1),
        Cell(difference(ours, paper, 1), 'difference'),
      ]
    )
  return Table(
    caption,
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
      '1x1 (v1). For VGG-16 it counts the convolutions alone.'
    ]
    if networks is _IMAGENET
    else [],
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


def _fig3(context: _Context) -> list[Block]:
  names = ('vgg19', 'plain34', 'resnet34')
  return [
    context.figure(
      lambda stem: draw(names, stem),
      'Three columns of boxes, one for each layer: VGG-19, the plain net and '
      'the residual net of 34 layers, whose shortcuts are arcs.',
      'Drawn from the modules. Dotted shortcuts increase dimensions.',
    )
  ]


# Tables 2 to 5.


def _imagenet_table(
  context: _Context,
  rows_of_paper: dict[published.Key, published.ImageNetError],
  caption: str,
  notes: Sequence[str | Command] = (),
) -> list[Block]:
  ours = {key_of(one): one for one in context.selected}
  rows = []
  for key, row in rows_of_paper.items():
    one = ours.get(key)
    found = _evaluations(one, context.target.views) if one else []
    rows.append(
      [
        Cell(row.method),
        *_pair(row.top1, [r['error'] for r in found]),
        *_pair(row.top5, [r['error_top5'] for r in found]),
        Cell(_how(one, found)),
      ]
    )
  header = ['top-1: paper', 'ours', 'difference']
  header += ['top-5: paper', 'ours', 'difference']
  return [
    Table(
      f'{caption}; {_PERCENT}',
      ['method', *header, 'ours is'],
      rows,
      [*notes, *context.missing()],
    )
  ]


def _table2(context: _Context) -> list[Block]:
  return _imagenet_table(
    context, published.TABLE2, 'Validation errors, 10-crop, shortcut A'
  )


def _table3(context: _Context) -> list[Block]:
  baselines = 'python -m resnet_jax.main --config=configs/imagenet_vgg16.py'
  return _imagenet_table(
    context,
    published.TABLE3,
    'Validation errors, 10-crop',
    [
      'VGG-16 and GoogLeNet are modules here, too; they are trained by such as',
      Command(baselines),
    ],
  )


def _table4(context: _Context) -> list[Block]:
  return _imagenet_table(
    context,
    published.TABLE4,
    'Validation errors of single models, at shorter sides 224 to 640',
    ["The first two rows are the paper's quotations of test errors."],
  )


def _table5(context: _Context) -> list[Block]:
  found = _ensemble(context)
  own = list(published.TABLE5)[-1]
  rows = []
  for key, row in published.TABLE5.items():
    ours = [found['error_top5']] if found and key == own else []
    rows.append(
      [
        Cell(row.method),
        *_pair(row.top5, ours),
        Cell('validation images' if ours else ''),
      ]
    )
  notes = [
    "The paper's are of the test set, whose labels only the challenge's server "
    'has. Ours are of the validation set.',
    *context.missing(),
  ]
  caption = f'Top-5 errors of ensembles; {_PERCENT}'
  header = ['method', 'paper', 'ours', 'difference', 'ours is of']
  return [Table(caption, header, rows, notes)]


def _ensemble(context: _Context) -> dict[str, Any] | None:
  """The result of all networks together, if there is one."""
  runs = [
    run for _, runs in runs_of(context.target, context.scale) for run in runs
  ]
  return records.ensemble(context.root, context.target.name, runs)


# Table 6 and Figs. 1, 4, 6.


def _table6(context: _Context) -> list[Block]:
  ours = {key_of(one): one for one in context.selected}
  rows = []
  for key, row in published.TABLE6.items():
    one = ours.get(key)
    errors = [record.error for record in one.records] if one else []
    # Several of ours against the mean of several of theirs.
    paper = row.mean if row.mean is not None and len(errors) > 1 else row.error
    printed = number(row.error)
    if row.mean is not None and row.std is not None:
      printed += f' ({number(row.mean)} ± {number(row.std)})'
    band = published.REPRODUCTIONS.get(key)
    rows.append(
      [
        Cell(row.method),
        _cell(row.layers, 'number', 0),
        _cell(row.parameters, 'paper', 2),
        Cell(printed, 'paper'),
        Cell(mean_std(errors), 'ours' if errors else 'missing'),
        Cell(difference(_mean(errors), paper), 'difference'),
        Cell(_band(band), 'number'),
        Cell(_how(one, errors)),
      ]
    )
  return [
    Table(
      f'CIFAR-10 test errors at the end of training; {_PERCENT}',
      [
        'method',
        'layers',
        'parameters, 1e6',
        'error: paper',
        'ours',
        'difference',
        'other reproductions',
        'ours is',
      ],
      rows,
      [
        'Ours is the mean over seeds, with the standard deviation, of the net '
        'with BN statistics recomputed over training images, as the authors '
        "do. Parameters are the paper's; ours are counted in the section of "
        'Table 1.',
        *context.missing(),
      ],
    )
  ]


def _band(band: published.Band | None) -> str:
  return f'{number(band.low)} to {number(band.high)}' if band else ''


def _fig1(context: _Context) -> list[Block]:
  def panels(curves: list[figures.Curve]) -> list[figures.Panel]:
    return [
      figures.Panel('training error', curves, ('train',)),
      figures.Panel('test error', curves, ('test',)),
    ]

  return _curves(context, panels, published.FIGURE1, dashed=False)


def _fig4(context: _Context) -> list[Block]:
  return _curves(
    context, _by_kind, published.FIGURE4, ylim=(20, 60), dashed=False
  )


def _fig6(context: _Context) -> list[Block]:
  def panels(curves: list[figures.Curve]) -> list[figures.Panel]:
    shallow = [c for c in curves if c.depth < 1000]
    deep = [c for c in curves if c.depth >= 110 and 'ResNet' in c.label]
    return [*_by_kind(shallow), figures.Panel('very deep', deep)]

  return _curves(context, panels, published.FIGURE6)


def _by_kind(curves: list[figures.Curve]) -> list[figures.Panel]:
  kinds = {'plain nets': 'plain', 'residual nets': 'ResNet'}
  return [
    figures.Panel(title, [c for c in curves if c.label.startswith(word)])
    for title, word in kinds.items()
  ]


def _curves(
  context: _Context,
  panels: Callable[[list[figures.Curve]], list[figures.Panel]],
  ends: dict[published.Key, published.Curve],
  **style: Any,
) -> list[Block]:
  """The figure, if anything is there to draw, and the ends of its curves."""
  there = [one for one in context.selected if one.records]
  blocks: list[Block] = []
  if there:
    curves = [_curve(one, ends) for one in there]
    test = 'validation' if there[0].records[0].split != 'test' else 'test'
    blocks.append(
      context.figure(
        lambda stem: figures.error_curves(
          panels(curves),
          stem,
          test_name=test,
          note=context.label,
          **style,
        ),
        f'Curves of training and {test} error over steps, of '
        f'{", ".join(_label(one) for one in there)}.',
        f'Thin: training error; bold: {test} error; where there are several '
        'seeds, their mean in a band from the least to the greatest.'
        + _paper_mark(there, ends),
      )
    )
  blocks.append(_ends(context, ends))
  return blocks


def _paper_mark(
  there: Sequence[Selected], ends: dict[published.Key, published.Curve]
) -> str:
  if any(_paper_end(one, ends) is not None for one in there):
    return " Triangles: where the paper's curves end."
  return ''


def _curve(
  one: Selected, ends: dict[published.Key, published.Curve]
) -> figures.Curve:
  def points(split: str) -> list[list[tuple[float, float]]]:
    return [
      [(r['step'], 100 * r['error']) for r in record.curves.get(split, [])]
      for record in one.records
    ]

  split = one.records[0].split
  if split not in one.records[0].curves:
    split = 'validation'
  return figures.Curve(
    _label(one),
    points('train'),
    points(split),
    one.member.depth,
    _paper_end(one, ends),
  )


def _paper_end(
  one: Selected, ends: dict[published.Key, published.Curve]
) -> float | None:
  """Where the paper's curve ends, if ours is of the same length and data."""
  end = ends.get(key_of(one))
  if end is None or one.records[0].departures or end.test.relation != '=':
    return None
  return end.test.value


def _ends(
  context: _Context, ends: dict[published.Key, published.Curve]
) -> Table:
  ours = {key_of(one): one for one in context.selected}
  rows = []
  for key, end in ends.items():
    one = ours.get(key)
    there = one.records if one else ()
    train = [r.train_error for r in there if r.train_error is not None]
    rows.append(
      [
        Cell(end.method),
        *_against(end.test, [_last_in_loop(record) for record in there]),
        *_against(end.training, train),
        Cell(_how(one, there)),
      ]
    )
  first = next(iter(ends.values()))
  return Table(
    f'Where the curves end; {_PERCENT}',
    [
      'network',
      'test: paper',
      'ours',
      'difference',
      'training: paper',
      'ours',
      'difference',
      'ours is',
    ],
    rows,
    [
      f"The paper's are {first.source}, {first.uncertainty}. Training errors "
      'are of augmented images, while the weights change.',
      *context.missing(),
    ],
  )


def _last_in_loop(record: Record) -> float:
  """As a curve has it: with BN's running averages."""
  return 100 * record.content['results']['running'][record.split]['error']


# Fig. 7 and the degradation.


def _fig7(context: _Context) -> list[Block]:
  blocks = _responses(context)
  if not blocks:
    blocks = [Paragraph('No layer responses have been measured yet.')]
  return [*blocks, *_as_blocks(context.missing())]


def _as_blocks(notes: Iterable[str | Command]) -> list[Block]:
  return [
    note if isinstance(note, Command) else Paragraph(note) for note in notes
  ]


def _responses(context: _Context, suffix: str = '') -> list[Block]:
  """The figure of responses, and a table of them, where they are measured."""
  series, rows, definitions = [], [], []
  for one in context.selected:
    contents = [r.responses() for r in one.records]
    contents = [content for content in contents if content]
    if not contents:
      continue
    stds = [[layer['std'] for layer in c['layers']] for c in contents]
    layers = [statistics.fmean(values) for values in zip(*stds, strict=True)]
    kind = 'plain' if 'plain' in one.member.network else 'residual'
    series.append(
      figures.ResponseSeries(_label(one), layers, kind, one.member.depth)
    )
    definitions.append((contents[0]['definition'], contents[0]['images']))
    rows.append(
      [
        Cell(_label(one)),
        Cell(f'{len(layers)}', 'number'),
        Cell(mean_std([statistics.fmean(s) for s in stds], 3), 'ours'),
        Cell(number(min(layers), 3), 'ours'),
        Cell(number(max(layers), 3), 'ours'),
        Cell(_how(one, contents)),
      ]
    )
  if not series:
    return []
  stem_context = dataclasses.replace(
    context,
    target=dataclasses.replace(
      context.target, name=context.target.name + suffix
    ),
  )
  figure = stem_context.figure(
    lambda stem: figures.response_figure(series, stem, note=context.label),
    'Curves of the standard deviation of the responses of each layer, in the '
    f'order of layers and sorted, of {", ".join(s.label for s in series)}.',
    'Standard deviations of layer responses, after BN and before the '
    'nonlinearity or addition; the mean over seeds. '
    + _definition(*definitions[0]),
  )
  table = Table(
    'Standard deviations of the responses of 3x3 layers',
    ['network', 'layers', 'mean', 'least', 'greatest', 'ours is'],
    rows,
    ['The paper gives no numbers for this figure.'],
  )
  return [figure, table]


def _definition(definition: dict[str, Any], images: int) -> str:
  pooling = {
    'all': 'one deviation over images, positions and channels',
    'channels': 'the mean of the deviations of channels',
  }
  return (
    f'Of {images:,} {definition["split"]} images without augmentation; '
    f'{pooling[definition["pooling"]]}; BN by {definition["statistics"]} '
    'statistics.'
  )


def _degradation(context: _Context) -> list[Block]:
  there = [one for one in context.selected if one.records]
  if not there:
    return [
      Paragraph('Nothing has been run yet. It takes minutes:'),
      Command(context.command('run')),
    ]
  errors: dict[str, dict[int, list[float]]] = {'plain': {}, 'resnet': {}}
  rows = []
  for one in context.selected:
    kind = 'plain' if 'plain' in one.member.network else 'resnet'
    train = [r.train_error for r in one.records if r.train_error is not None]
    test = [r.error for r in one.records]
    if train:
      errors[kind][one.member.depth] = train
    rows.append(
      [
        Cell(_label(one)),
        Cell(mean_std(train), 'ours' if train else 'missing'),
        Cell(mean_std(test), 'ours' if test else 'missing'),
        Cell(', '.join(number(x) for x in train), 'number'),
        Cell(_how(one, test)),
      ]
    )
  verdict = degradation.verdict(errors['plain'], errors['resnet'])
  curves = [_curve(one, {}) for one in there]
  return [
    Paragraph(verdict),
    context.figure(
      lambda stem: figures.error_curves(
        _by_kind(curves), stem, note=context.label
      ),
      'Curves of training and test error over steps: plain nets on the left, '
      'residual nets on the right.',
      'Thin: training error; bold: test error; the mean over seeds, in a band '
      'from the least to the greatest.',
    ),
    Table(
      f'At the end of training; {_PERCENT}',
      ['network', 'training', 'test', 'training, by seed', 'ours is'],
      rows,
      [
        'Training errors are of the last epoch, while the weights change.',
        *context.missing(),
      ],
    ),
    *_responses(context, '-responses'),
  ]


# What rows have in common.


def key_of(one: Selected) -> published.Key:
  """Where `published` has this network."""
  network = one.member.network
  config = expand(one.member, Scale(seeds=1))[0].configuration()
  return published.key(network, config.model.shortcut)


def _label(one: Selected) -> str:
  """As the paper writes it."""
  words = one.member.network.removeprefix('cifar_')
  return words.replace('plain', 'plain-').replace('resnet', 'ResNet-')


def _how(one: Selected | None, found: Sequence[Any]) -> str:
  """What stands in the last column: nothing for the methods of others."""
  if one is None:
    return ''
  return one.how if found else 'not run'


def _evaluations(one: Selected, views: str | None) -> list[dict[str, Any]]:
  results = [record.evaluation(views) for record in one.records]
  return [result for result in results if result is not None]


def _pair(paper: float | None, fractions: Sequence[float]) -> list[Cell]:
  """The paper's, ours and the difference."""
  values = [100 * fraction for fraction in fractions]
  return [
    _cell(paper, 'paper', 2),
    Cell(mean_std(values), 'ours' if values else 'missing'),
    Cell(difference(_mean(values), paper), 'difference'),
  ]


def _against(
  reading: published.Reading | None, values: Sequence[float]
) -> list[Cell]:
  exact = reading is not None and reading.relation == '='
  paper = reading.value if exact else None
  return [
    Cell(str(reading), 'paper') if reading else _cell(None, 'paper', 2),
    Cell(mean_std(values), 'ours' if values else 'missing'),
    Cell(difference(_mean(values), paper), 'difference'),
  ]


def _cell(value: float | None, kind: Any, digits: int) -> Cell:
  return Cell(number(value, digits), 'missing' if value is None else kind)


def _mean(values: Sequence[float]) -> float | None:
  return statistics.fmean(values) if values else None


_BUILDERS = {
  'table1': _table1,
  'table2': _table2,
  'table3': _table3,
  'table4': _table4,
  'table5': _table5,
  'table6': _table6,
  'fig1': _fig1,
  'fig3': _fig3,
  'fig4': _fig4,
  'fig6': _fig6,
  'fig7': _fig7,
  'degradation': _degradation,
}
assert _BUILDERS.keys() == TARGETS.keys()
