"""Any runs side by side: one table and one picture, with means over seeds.

  runs = find([pathlib.Path('runs')])
  print(table(runs)); draw(runs, pathlib.Path('compared'))

Runs that differ by their seeds alone are one line; it is named by the fields in
which it differs from the others.
"""

import dataclasses
import json
import logging
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from resnet_jax.config.file import complete, fields
from resnet_jax.errors import UserError
from resnet_jax.paper import canvas, markdown
from resnet_jax.paper.results import Score, number, reading
from resnet_jax.runs import curves
from resnet_jax.runs.history import FILE, read_metrics

_log = logging.getLogger('resnet_jax')

# Fields that do not tell two networks or recipes apart.
_SAME = ('seed', 'run.', 'dataset.data_dir', 'dataset.mean_file')
_COLORS = ('#2f7fd8', '#d0402b', '#12805c', '#c08a00', '#b86fc9', '#555555')


@dataclasses.dataclass(frozen=True)
class Run:
  """A run's folder.

  Attributes:
    folder: Where it is.
    fields: Its config by dotted name.
    data: The fingerprint of its data; None while the run is not finished.
    records: Those of `metrics.jsonl`.
    scores: Final scores by split, with BN statistics recomputed if they were;
      none while the run is not finished.
    hours: Wall time of all its sessions, likewise.
    step: Its last step, likewise.
  """

  folder: pathlib.Path
  fields: dict[str, Any]
  data: str | None
  records: list[dict[str, Any]]
  scores: dict[str, Score]
  hours: float | None
  step: int | None

  @property
  def train_error(self) -> float | None:
    """Error in % of the last record of training, on augmented images.

    None where that record is lost, and the last that is left is an earlier one.
    """
    last = [r for r in self.records if r['split'] == 'train'][-1:]
    if not last or self.step not in (None, last[0]['step']):
      return None
    return 100 * number(last[0]['error'])


@dataclasses.dataclass(frozen=True)
class Group:
  """Runs that differ by their seeds alone, and the name they share."""

  name: str
  runs: tuple[Run, ...]

  def finished(self) -> list[Run]:
    return [run for run in self.runs if run.scores]


def find(folders: Sequence[pathlib.Path]) -> list[Run]:
  """The runs of `folders`, each a run's or one that holds folders of runs.

  Raises:
    UserError: there is none in a folder, or a file of it is damaged.
  """
  found: dict[pathlib.Path, Run] = {}
  for folder in folders:
    inside = [folder] if (folder / 'config.json').exists() else []
    inside = inside or sorted(
      file.parent for file in folder.glob('*/config.json')
    )
    if not inside:
      raise UserError(
        f'{folder} is no folder of a run, which has a config.json, and holds '
        f'none'
      )
    found |= {path.resolve(): _read(path) for path in inside}
  return list(found.values())


def group(runs: Sequence[Run]) -> list[Group]:
  """Runs by what they have in common, in the order in which they are given."""
  keys = [json.dumps(_telling(run), sort_keys=True) for run in runs]
  # A run that is not finished has yet to say which data it has; it counts to
  # those of its config.
  data = {
    key: run.data for key, run in zip(keys, runs, strict=True) if run.data
  }
  by_fields: dict[str, list[Run]] = {}
  for key, run in zip(keys, runs, strict=True):
    whole = json.loads(key) | {'data': run.data or data.get(key)}
    by_fields.setdefault(json.dumps(whole, sort_keys=True), []).append(run)
  every = [json.loads(key) for key in by_fields]
  names = sorted({name for one in every for name in one})
  differ = [n for n in names if any(a.get(n) != every[0].get(n) for a in every)]
  return [
    Group(_name(one, differ), tuple(runs))
    for one, runs in zip(every, by_fields.values(), strict=True)
  ]


def table(runs: Sequence[Run]) -> str:
  """A table in Markdown: a row for each group, errors in %."""
  splits = sorted({split for run in runs for split in run.scores})
  rows = []
  for one in group(runs):
    _warn_of_repeated(one)
    done = one.finished()
    seeds = ', '.join(str(run.fields['seed']) for run in one.runs)
    if len(done) < len(one.runs):
      seeds += f' ({len(done)} finished)'
    errors = [
      [100 * r.scores[split].error for r in done if split in r.scores]
      for split in splits
    ]
    train = [r.train_error for r in done if r.train_error is not None]
    hours = [run.hours for run in done if run.hours is not None]
    cells = map(markdown.mean_std, [*errors, train, hours])
    rows.append([markdown.escape(one.name), seeds, *cells])
  columns = ['run', 'seeds', *(f'>{split}' for split in splits)]
  return markdown.table([*columns, '>training', '>hours'], rows)


def draw(runs: Sequence[Run], stem: pathlib.Path) -> None:
  """Draws training (thin) and test errors (bold) over steps, as PNG and SVG.

  Raises:
    UserError: no run has left a curve, or the runs of a group share no step.
  """
  from matplotlib.figure import Figure

  with canvas.style():
    figure = Figure(figsize=(7, 4.4), layout='constrained')
    axes = figure.add_subplot()
    for index, one in enumerate(group(runs)):
      color = _COLORS[index % len(_COLORS)]
      for split in ('train', 'validation', 'test'):
        points = [_points(run, split) for run in one.runs]
        if not any(points):
          continue
        try:
          line = curves.mean_over_seeds(points, training=split == 'train')
        except ValueError as e:
          raise UserError(f'{one.name}: {e}') from e
        name = f'{one.name}, {split}'.replace('$', r'\$')
        curves.draw_line(
          axes, line, training=split == 'train', color=color, label=name
        )
    if not axes.lines:
      raise UserError('none of the runs has recorded an error yet')
    axes.set(xlabel='steps', ylabel='error (%)')
    axes.set_ylim(bottom=0)
    figure.legend(loc='outside lower center', ncols=2)
    canvas.save(figure, stem)


def _read(folder: pathlib.Path) -> Run:
  results = folder / 'results.json'
  scores, hours, data, step = {}, None, None, None
  with reading(folder / 'config.json') as content:
    config = fields(complete(content))
    config['seed']
  if results.exists():
    with reading(results) as content:
      found = content['results']
      found = found.get('recomputed', found['running'])
      scores = {split: Score.parse(one) for split, one in found.items()}
      seconds = {k: number(s) for k, s in content['seconds'].items()}
      # The wait for input is within training.
      hours = (sum(seconds.values()) - seconds.get('input', 0)) / 3600
      data, step = content['data'], content['step']
      config = fields(complete(content['config']))
  records = read_metrics(folder)
  last = max([r['step'] for r in records if r['split'] == 'train'], default=0)
  if step is not None and last < step:
    _log.warning(
      '%s: the run has %s steps, and the records behind step %s are lost',
      folder / FILE,
      f'{step:,}',
      f'{last:,}',
    )
  return Run(folder, config, data, records, scores, hours, step)


def _warn_of_repeated(one: Group) -> None:
  """Names runs whose mean has a deviation that is none over seeds."""
  by_seed: dict[Any, list[str]] = {}
  for run in one.runs:
    by_seed.setdefault(run.fields['seed'], []).append(str(run.folder))
  for seed, folders in by_seed.items():
    if len(folders) > 1:
      _log.warning(
        '%s are of one config and of one seed, %s: their mean is over fewer '
        'seeds than runs',
        ', '.join(folders),
        seed,
      )


def _telling(run: Run) -> dict[str, Any]:
  """The fields by which runs are told apart."""
  return {
    name: value
    for name, value in run.fields.items()
    if not name.startswith(_SAME)
  }


def _name(own: dict[str, Any], differ: Iterable[str]) -> str:
  """Names a group by its fields that differ, or by its network."""
  words: list[str] = []
  for field in differ:
    if field == 'model.name':
      words.insert(0, str(own[field]))
    else:
      words.append(f'{field.split(".")[-1]} {str(own.get(field))[:40]}')
  return ', '.join(words) or str(own['model.name'])


def _points(run: Run, split: str) -> list[tuple[float, float]]:
  return [
    (record['step'], 100 * record['error'])
    for record in run.records
    if record['split'] == split
  ]
