"""Draws a run in the style of Fig. 6: training thin, testing bold."""

import pathlib
from typing import Any


def draw(records: list[dict[str, Any]], title: str, path: pathlib.Path) -> None:
  """Error in % over steps, from the records of `metrics.jsonl`, as a PNG."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6, 4), layout='constrained')
  axes = figure.add_subplot()
  for split, style in (
    ('train', {'linewidth': 0.8, 'linestyle': '--'}),
    ('validation', {'linewidth': 2.0}),
    ('test', {'linewidth': 2.0}),
  ):
    points = [
      (r['step'], 100 * r['error']) for r in records if r['split'] == split
    ]
    if points:
      # A single point would draw no line.
      marker = 'o' if len(points) == 1 else None
      axes.plot(
        *zip(*points, strict=True),
        color='C0' if split != 'validation' else 'C1',
        label=split,
        marker=marker,
        **style,
      )
  axes.set(xlabel='steps', ylabel='error (%)', title=title)
  axes.set_ylim(bottom=0)
  axes.grid(alpha=0.3)
  if axes.lines:
    axes.legend()
  figure.savefig(path, dpi=120)
