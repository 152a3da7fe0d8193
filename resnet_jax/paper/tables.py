"""Tables 2 to 6 as Markdown: the paper's numbers beside ours."""

import statistics
from collections.abc import Mapping, Sequence

from resnet_jax.paper import published, records
from resnet_jax.paper.markdown import (
  command,
  difference,
  mean_std,
  number,
  strong,
)
from resnet_jax.paper.results import Score
from resnet_jax.paper.section import Section, how_of
from resnet_jax.paper.targets import in_order


def table2(section: Section) -> list[str]:
  """Plain and residual nets on ImageNet."""
  caption = 'Validation errors in %, 10-crop, shortcut A'
  return _imagenet_table(section, published.TABLE2, caption)


def table3(section: Section) -> list[str]:
  """ImageNet, 10-crop."""
  caption = 'Validation errors in %, 10-crop'
  config = '--config=configs/imagenet_vgg16.py'
  return [
    *_imagenet_table(section, published.TABLE3, caption),
    'VGG-16 and GoogLeNet are modules here, too, and trained like this:',
    command(['python', '-m', 'resnet_jax.main', config]),
    *_one_crop(section),
  ]


def table4(section: Section) -> list[str]:
  """ImageNet, dense, single models."""
  caption = 'Validation errors in % of single models, shorter sides 224 to 640'
  tested = [k for k, row in published.TABLE4.items() if row.split == 'test']
  return [
    *_imagenet_table(section, published.TABLE4, caption),
    f'Measured on the test set: {", ".join(tested)}.',
    *_one_crop(section),
  ]


def _imagenet_table(
  section: Section, paper: Mapping[str, published.ImageNetError], caption: str
) -> list[str]:
  ours, views = section.by_name, section.target.views
  assert views is not None
  top5 = any(row.top5 is not None for row in paper.values())
  rows = []
  for name, row in paper.items():
    one = ours.get(name)
    found = section.measured(one, lambda r: r.evaluation(views)) if one else []
    cells = [name, *against(row.top1, [100 * score.error for score in found])]
    if top5:
      cells += against(row.top5, [100 * score.error_top5 for score in found])
    rows.append([*cells, how_of(one, found)])
  columns = ['method', '>top-1: paper', '>ours', '>difference']
  if top5:
    columns += ['>top-5: paper', '>ours', '>difference']
  return section.table(caption, [*columns, 'ours is'], rows)


def _one_crop(section: Section) -> list[str]:
  """The errors of one crop that others report for the same networks."""
  ours, rows = section.by_name, []
  for name, band in published.REPRODUCTIONS_ONE_CROP.items():
    authors = published.AUTHORS_ONE_CROP.get(name, published.ImageNetError())
    one = ours.get(name)
    there = one.records if one else ()
    found = [record.score for record in there]
    rows.append(
      [
        name,
        number(authors.top1, 1),
        band_of(band),
        strong(mean_std([100 * score.error for score in found])),
        number(authors.top5, 1),
        strong(mean_std([100 * score.error_top5 for score in found])),
        how_of(one, found),
      ]
    )
  columns = ['network', '>top-1: authors', '>others', '>ours']
  columns += ['>top-5: authors', '>ours', 'ours is']
  return [
    *section.table(
      'Validation errors in % of one crop',
      columns,
      rows,
      label=section.training_label,
    ),
    "The authors' are of their repository; the paper gives none of one crop. "
    'Others: what good reproductions report; bottlenecks are mostly v1.5.',
  ]


def table5(section: Section) -> list[str]:
  """ImageNet, dense, several models together."""
  runs = in_order(section.target, section.scale)
  shown = {r.run.name for one in section.selected for r in one.records}
  found: Score | None = None
  if shown == {run.name for run in runs}:
    found = section.whole(records.ensemble, section.root, section.target, runs)
  own = list(published.TABLE5)[-1]
  rows = []
  for name, row in published.TABLE5.items():
    ours = [100 * found.error_top5] if found and name == own else []
    words = f'{len(runs)} networks' if ours else ''
    rows.append([name, *against(row.top5, ours), words])
  columns = ['method', '>paper', '>ours', '>difference', 'ours is of']
  return [
    *section.table('Top-5 errors in % of ensembles', columns, rows),
    "The paper's are of the test set, whose labels only the challenge's server "
    'has. Ours are of the validation set; the paper has six networks.',
  ]


def table6(section: Section) -> list[str]:
  """CIFAR-10."""
  ours, rows, remarks = section.by_name, [], []
  for name, row in published.TABLE6.items():
    one = ours.get(name)
    errors = [record.error for record in one.records] if one else []
    printed = number(row.error)
    if row.mean is not None and row.std is not None:
      printed += f' ({number(row.mean)} ± {number(row.std)})'
    # Several of ours are compared with the mean of several of theirs.
    several = row.mean is not None and len(errors) > 1
    paper = row.mean if several else row.error
    band = published.REPRODUCTIONS_CIFAR10.get(name)
    if band and band.remark:
      remarks.append(f'{name}: {band.remark}')
    rows.append(
      [
        name,
        number(row.parameters),
        printed,
        *against(paper, errors)[1:],
        band_of(band),
        how_of(one, errors),
      ]
    )
  columns = ['method', '>params, 1e6', '>error: paper', '>ours']
  columns += ['>diff.', '>others', 'ours is']
  return [
    *section.table(
      'CIFAR-10 test errors in % at the end of training', columns, rows
    ),
    'Ours is the mean over seeds, with the standard deviation, of the net with '
    'BN statistics recomputed over training images, as the authors do. The '
    "difference of several seeds is to the paper's mean, where it gives one. "
    "Parameters are the paper's; ours are counted in the section of Table 1. "
    f'Others: what good reproductions report ({"; ".join(remarks)}).',
  ]


def against(paper: float | None, ours: Sequence[float]) -> list[str]:
  """Cells: the paper's number, ours and the difference."""
  mean = statistics.fmean(ours) if ours else None
  return [number(paper), strong(mean_std(ours)), difference(mean, paper)]


def band_of(band: published.Band | None) -> str:
  """The range that good reproductions report, such as 8.0 to 8.75."""
  return f'{band.low}\N{EN DASH}{band.high}' if band else ''
