"""The style of all figures, and their files for light and dark pages."""

import contextlib
import io
import pathlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from matplotlib.figure import Figure

_STYLE = {
  'font.size': 9,
  'axes.titlesize': 10,
  'axes.grid': True,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.linewidth': 0.7,
  'grid.color': '#808080',
  'grid.alpha': 0.25,
  'grid.linewidth': 0.6,
  'legend.title_fontsize': 8,
  'legend.frameon': False,
  'lines.dashed_pattern': (3.2, 1.4),
  # Letters are outlines: phones have other fonts.
  'svg.fonttype': 'path',
  'svg.hashsalt': 'resnet_jax',
}
# Black in the SVG follows the page where a screen is dark; paper is white.
_SVG_STYLE = (
  'svg{color:#000}'
  '@media screen and (prefers-color-scheme:dark){svg{color:#ddd}}'
)


def style() -> contextlib.AbstractContextManager[None]:
  """Our style on Matplotlib's defaults, whatever the user's settings are."""
  import matplotlib.style

  return matplotlib.style.context(['default', _STYLE])


def save(figure: 'Figure', stem: pathlib.Path) -> None:
  """Writes `stem`.png on white, and `stem`.svg on whatever is behind it.

  The same figure gives the same bytes.

  Args:
    figure: A figure in which black stands for the ink of the page.
    stem: Path of the files, without suffix.
  """
  content = io.StringIO()
  with style():
    png = stem.with_name(f'{stem.name}.png')
    figure.savefig(png, dpi=150, facecolor='white', metadata={'Software': None})
    absent = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
    figure.savefig(content, format='svg', transparent=True, metadata=absent)
  text = content.getvalue().replace('#000000', 'currentColor')
  # Matplotlib leaves a fill out where it is black, the default.
  text = text.replace('<svg ', '<svg fill="currentColor" ', 1)
  opening = '<style type="text/css">'
  text = text.replace(opening, opening + _SVG_STYLE, 1)
  # Hundredths of a point are enough for outlines.
  text = re.sub(
    r' d="[^"]*"', lambda d: re.sub(r'(\.\d\d)\d+', r'\1', d[0]), text
  )
  stem.with_name(f'{stem.name}.svg').write_text(text, encoding='utf-8')
