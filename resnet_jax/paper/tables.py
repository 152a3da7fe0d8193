"""Tables 2 to 6: errors at the end of training, the paper's beside ours."""

from collections.abc import Mapping, Sequence

from resnet_jax.paper import published, records
from resnet_jax.paper.context import (
  PERCENT,
  Context,
  cell_of,
  how_of,
  key_of,
  mean,
  pair,
)
from resnet_jax.paper.document import (
  Block,
  Cell,
  Command,
  Table,
  difference,
  mean_std,
  number,
)
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import runs_of


def _imagenet_table(
  context: Context,
  rows_of_paper: Mapping[published.Key, published.ImageNetError],
  caption: str,
  notes: Sequence[str | Command] = (),
) -> list[Block]:
  ours = {key_of(one): one for one in context.selected}
  rows = []
  for key, row in rows_of_paper.items():
    one = ours.get(key)
    found = []
    if one:
      found = context.measured(
        one, lambda record: record.evaluation(context.target.views)
      )
    rows.append(
      [
        Cell(row.method),
        *pair(row.top1, [r.error for r in found]),
        *pair(row.top5, [r.error_top5 for r in found]),
        Cell(how_of(one, found)),
      ]
    )
  header = ['top-1: paper', 'ours', 'difference']
  header += ['top-5: paper', 'ours', 'difference']
  return [
    Table(
      f'{caption}; {PERCENT}',
      ['method', *header, 'ours is'],
      rows,
      [*notes, *context.missing()],
    )
  ]


def table2(context: Context) -> list[Block]:
  """Plain and residual nets on ImageNet."""
  return _imagenet_table(
    context, published.TABLE2, 'Validation errors, 10-crop, shortcut A'
  )


def table3(context: Context) -> list[Block]:
  """ImageNet, 10-crop."""
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


def table4(context: Context) -> list[Block]:
  """ImageNet, dense, single models."""
  return _imagenet_table(
    context,
    published.TABLE4,
    'Validation errors of single models, at shorter sides 224 to 640',
    [f'Of the test set: {", ".join(_of_the_test_set(published.TABLE4))}.'],
  )


def _of_the_test_set(
  rows: Mapping[published.Key, published.ImageNetError],
) -> list[str]:
  return [row.method for row in rows.values() if row.split == 'test']


def table5(context: Context) -> list[Block]:
  """ImageNet, dense, several models together."""
  found = _ensemble(context)
  own = list(published.TABLE5)[-1]
  rows = []
  for key, row in published.TABLE5.items():
    ours = [found.error_top5] if found and key == own else []
    rows.append(
      [
        Cell(row.method),
        *pair(row.top5, ours),
        Cell(f'{len(_members(context))} networks' if ours else ''),
      ]
    )
  notes = [
    "The paper's are of the test set, whose labels only the challenge's server "
    'has. Ours are of the validation set; the paper has six networks.',
    *context.missing(),
  ]
  caption = f'Top-5 errors of ensembles; {PERCENT}'
  header = ['method', 'paper', 'ours', 'difference', 'ours is of']
  return [Table(caption, header, rows, notes)]


def _ensemble(context: Context) -> records.Score | None:
  """The result of all networks together, if they are what is shown."""
  runs = _members(context)
  shown = {r.run.name for one in context.selected for r in one.records}
  if shown != {run.name for run in runs}:
    return None
  return context.whole(
    records.ensemble, context.root, context.target.name, runs
  )


def _members(context: Context) -> list[Run]:
  members = runs_of(context.target, context.scale)
  return [run for _, runs in members for run in runs]


def table6(context: Context) -> list[Block]:
  """CIFAR-10."""
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
        cell_of(row.layers, 'number', 0),
        cell_of(row.parameters, 'paper', 2),
        Cell(printed, 'paper'),
        Cell(mean_std(errors), 'ours' if errors else 'missing'),
        Cell(difference(mean(errors), paper), 'difference'),
        Cell(_band(band), 'number'),
        Cell(how_of(one, errors)),
      ]
    )
  return [
    Table(
      f'CIFAR-10 test errors at the end of training; {PERCENT}',
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
        "do. The difference of several seeds is to the paper's mean, where it "
        "gives one. Parameters are the paper's; ours are counted in the "
        'section of Table 1.',
        *context.missing(),
      ],
    )
  ]


def _band(band: published.Band | None) -> str:
  return f'{number(band.low)} to {number(band.high)}' if band else ''
