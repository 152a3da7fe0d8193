"""A report on the terminal: tables of rich, and a chart of Matplotlib."""

import pathlib
from collections.abc import Sequence
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table

from benchmarks.parts import COMPILED, EAGER, KEPT, OURS

_TITLES = {
  'train': 'Training step, images/s',
  'eval': 'Evaluation, images/s',
  'input': 'Input of pictures, images per second of CPU time',
  'loop': 'Training loop, images/s',
  'first': 'First step, seconds',
  'memory': 'Peak memory of training beyond libraries and data, MB',
}
_NARROWEST = 130
_COLOURS = {
  OURS: '#0b6e99',
  EAGER: '#e07b39',
  KEPT: '#e8995f',
  COMPILED: '#f0b98d',
}
_NOISE = '~'


def console() -> Console:
  """A console as wide as the tables need, where stdout is no terminal."""
  found = Console(highlight=False)
  if not found.is_terminal:
    found = Console(highlight=False, width=_NARROWEST)
  return found


def print_report(report: dict[str, Any], out: Console) -> None:
  """Prints the tables of `report`, and what the reader must know with them."""
  for part, title in _TITLES.items():
    rows = [row for row in report['rows'] if row['part'] == part]
    if rows:
      out.print(table(title, rows))
  notes = {
    f'{name}: {why}'
    for row in report['rows']
    for name, why in row['missing'].items()
  }
  if any('torch is not installed' in note for note in notes):
    notes.add('to compare with PyTorch: pip install torch torchvision')
  if any(not r['clear'] for w in report['rows'] for r in w['ratios'].values()):
    notes.add(f'{_NOISE}: no ratio: rounds differ more than the sides do')
  for note in sorted(notes):
    out.print(note, markup=False)


def table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
  """The table of one part."""
  found = Table(title=title, title_justify='left', box=rich.box.SIMPLE_HEAD)
  sides = _all_keys(rows, 'sides')
  ratios = _all_keys(rows, 'ratios')
  limited = any('limit' in row for row in rows)
  found.add_column('network', no_wrap=True, min_width=_longest(rows))
  found.add_column('batch', justify='right')
  found.add_column('precision')
  for name in sides:
    found.add_column(name, justify='right')
  for name in ratios:
    found.add_column(f'ours / {name}', justify='right')
  if limited:
    found.add_column('limit', justify='right')
    found.add_column("% of the machine's limit", justify='right')
  for row in rows:
    cells = [row['network'], str(row['batch'] or ''), row['precision']]
    cells += [_cell(row['sides'].get(name)) for name in sides]
    cells += [_ratio(row['ratios'].get(name)) for name in ratios]
    if limited and 'limit' in row:
      limit = row['limit']
      cells += [_number(limit['rate']), f'{100 * limit["share"]:.0f} %']
    found.add_row(*cells)
  return found


def draw(report: dict[str, Any], file: pathlib.Path) -> None:
  """Draws images per second as shares of the machine's limit, as bars.

  Raises:
    ValueError: nothing was measured that has a limit.
  """
  from matplotlib.figure import Figure

  rows = [row for row in report['rows'] if 'limit' in row]
  if not rows:
    raise ValueError(
      'a chart shows training and evaluation; add --only=train,eval'
    )
  names = _all_keys(rows, 'sides')
  bars = sum(len(row['sides']) for row in rows)
  figure = Figure(figsize=(8, 1.3 + 0.27 * bars + 0.3 * len(rows)))
  axes = figure.subplots()
  y, ticks = 0.0, []
  for row in rows:
    top = y
    for name in row['sides']:
      side, limit = row['sides'][name], row['limit']['rate']
      axes.barh(
        y,
        100 * side['median'] / limit,
        xerr=100 * side['spread'] / limit,
        color=_COLOURS[name],
        error_kw={'elinewidth': 0.8, 'ecolor': '#404040'},
        height=0.85,
      )
      right = 100 * (side['median'] + side['spread']) / limit
      axes.text(
        right + 0.8, y, f'{_number(side["median"])} images/s', va='center'
      )
      y += 1
    ticks.append(((top + y - 1) / 2, _label(row)))
    y += 0.8
  axes.set_yticks([at for at, _ in ticks], [label for _, label in ticks])
  axes.invert_yaxis()
  widest = max(
    (s['median'] + s['spread']) / row['limit']['rate']
    for row in rows
    for s in row['sides'].values()
  )
  axes.set_xlim(0, max(50.0, 100 * widest + 18))
  axes.set_xlabel("% of the machine's limit")
  axes.spines[['top', 'right']].set_visible(False)
  machine = report['machine']
  figure.suptitle(
    f'{machine["processor"]}, {report["device"]}, {machine["time"][:10]}',
    fontsize=10,
  )
  handles = [_patch(_COLOURS[name], name) for name in names]
  figure.legend(
    handles=handles, loc='outside lower center', ncols=3, frameon=False
  )
  figure.set_layout_engine('constrained')
  figure.savefig(file, dpi=150)


def _patch(colour: str, name: str) -> Any:
  from matplotlib.patches import Patch

  return Patch(color=colour, label=name)


def _label(row: dict[str, Any]) -> str:
  what = {'train': 'training', 'eval': 'evaluation'}[row['part']]
  precision = '' if row['precision'] == 'float32' else f', {row["precision"]}'
  return f'{row["network"]}\n{what}, batch {row["batch"]}{precision}'


def _longest(rows: Sequence[dict[str, Any]]) -> int:
  return max(len(row['network']) for row in rows)


def _all_keys(rows: Sequence[dict[str, Any]], field: str) -> list[str]:
  return list(dict.fromkeys(key for row in rows for key in row[field]))


def _cell(side: dict[str, Any] | None) -> str:
  if side is None:
    return '-'
  if len(side['rounds']) == 1:
    return _number(side['median'])
  return f'{_number(side["median"])} ±{_number(side["spread"])}'


def _ratio(found: dict[str, Any] | None) -> str:
  if found is None:
    return '-'
  if not found['clear']:
    return _NOISE
  return f'{found["median"]:.2f} ±{found["spread"]:.2f}'


def _number(x: float) -> str:
  if x >= 100:
    return f'{x:,.0f}'
  return f'{x:.1f}' if x >= 10 else f'{x:.2g}'
