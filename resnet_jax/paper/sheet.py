"""Sheets of axes with a legend and a note, in one style, and their files."""

import contextlib
import io
import itertools
import pathlib
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_jax.paper import svg

if TYPE_CHECKING:
  from matplotlib.figure import Figure

# Points.
TEXT = 9
_SMALL = 8
_DPI = 150
# Inches.
_LEFT, _TOP = 0.55, 0.32
_XLABEL, _LEGEND, _NOTE = 0.5, 0.26, 0.17


class Sheet:
  """A figure whose parts have sizes in inches, with legend and note below.

  Args:
    columns, rows: of axes, which are in `axes`, by rows.
    width, height: of each.
    right: room for labels, beside each column.
    legend_rows: below all axes.
    titles: whether the axes have any.
    note: wrapped to the width.
  """

  def __init__(
    self,
    columns: int,
    *,
    width: float,
    height: float,
    right: float,
    rows: int = 1,
    legend_rows: int = 1,
    titles: bool = True,
    note: str,
  ) -> None:
    from matplotlib.figure import Figure

    self.height = height
    total_width = _LEFT + columns * (width + right)
    lines = textwrap.wrap(note, int(total_width * 72 / (0.54 * _SMALL)))
    self._note = 0.08 + _NOTE * len(lines)
    self._legend_rows = legend_rows
    bottom = self._note + _LEGEND * legend_rows
    pitch = height + _XLABEL
    total_height = bottom + rows * pitch + (_TOP if titles else 0.1)
    self.figure = Figure(figsize=(total_width, total_height))
    self.axes = []
    for row, column in itertools.product(range(rows), range(columns)):
      corner = (
        _LEFT + column * (width + right),
        bottom + (rows - 1 - row) * pitch + _XLABEL,
      )
      box = (*corner, width, height)
      size = (total_width, total_height) * 2
      self.axes.append(self.figure.add_axes(np.divide(box, size)))
    self._total_height = total_height
    self.figure.text(
      0.5,
      0.06 / total_height,
      '\n'.join(lines),
      ha='center',
      va='bottom',
      fontsize=_SMALL,
    )

  def legend(self, handles: Sequence[Any]) -> None:
    """Below the axes, where it hides nothing."""
    self.figure.legend(
      handles=handles,
      loc='lower center',
      bbox_to_anchor=(0.5, self._note / self._total_height),
      ncols=-(-len(handles) // self._legend_rows),
      fontsize=_SMALL,
      frameon=False,
      borderpad=0,
      handlelength=2.6,
    )


def style() -> contextlib.AbstractContextManager[None]:
  """Ours on matplotlib's own defaults, whatever the user's settings are."""
  import matplotlib.style

  ours = {
    'font.size': TEXT,
    'axes.titlesize': TEXT + 1,
    'axes.grid': True,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.linewidth': 0.7,
    'grid.color': '#808080',
    'grid.alpha': 0.25,
    'grid.linewidth': 0.6,
    'lines.dashed_pattern': (3.2, 1.4),
    'svg.fonttype': 'path',
    'svg.hashsalt': 'resnet_jax',
  }
  return matplotlib.style.context(['default', ours])


def save(figure: 'Figure', stem: pathlib.Path) -> None:
  """Writes `stem`.png, on white, and `stem`.svg, on whatever is behind it.

  The same figure gives the same bytes. Letters are outlines in the SVG, since
  phones have other fonts, in which labels would collide.

  Args:
    figure: black is what is to be seen on any background.
    stem: without suffix; figures on one page need different names.
  """
  from PIL import Image

  file, pixels = stem.parent / f'{stem.name}.svg', io.BytesIO()
  with style():
    figure.savefig(pixels, dpi=_DPI, facecolor='white')
    absent = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
    figure.savefig(file, transparent=True, metadata=absent)
  # A palette takes a third of the bytes, and nothing of what is to be seen.
  image = Image.open(pixels).convert('RGB').quantize(256)
  image.save(stem.parent / f'{stem.name}.png', optimize=True, dpi=(_DPI, _DPI))
  text = file.read_text(encoding='utf-8')
  file.write_text(svg.adapt(text, stem.name), encoding='utf-8')
