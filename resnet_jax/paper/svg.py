"""Makes matplotlib's SVG fit for pages: any background, several on one page."""

import re

# Only where the file is a document of its own, as in <img>: inline, `:root` is
# the page, and the figure has the colour of the text around it. Paper is white
# whatever the screen is.
_STYLE = (
  'svg:root{{color:#000}}'
  '@media screen and (prefers-color-scheme: dark){{svg:root{{color:#ddd}}}}'
  '#{root} *{{stroke-linejoin:round;stroke-linecap:butt}}'
)


def adapt(svg: str, name: str) -> str:
  """An SVG of matplotlib's that suits light and dark pages, `<img>` or inline.

  What is black becomes `currentColor`; ids begin with `name`, and no rule of
  style reaches beyond the figure, so that a page can hold many.

  Args:
    svg: as `savefig` writes it, without metadata.
    name: of the figure; figures on one page need different ones.
  """
  root = re.sub(r'[^A-Za-z0-9_-]', '-', f'figure-{name}')
  # HTML knows no prolog, and ours is in UTF-8, which needs none.
  svg = svg[svg.index('<svg') :]
  svg = re.sub(r'<!--.*?-->', '', svg, flags=re.DOTALL)
  svg = re.sub(r'>\s+<', '>\n<', svg)
  svg = re.sub(r'(?<= d=")[^"]*', _shorter, svg)
  used = set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
  svg = re.sub(
    r' id="([^"]*)"', lambda match: match[0] if match[1] in used else '', svg
  )
  svg = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', f'{root}-', svg)
  svg = svg.replace(
    '<svg ',
    # Matplotlib leaves a fill out where it is black, the default.
    f'<svg id="{root}" fill="currentColor" '
    f'style="max-width: 100%; height: auto" ',
    1,
  )
  svg = svg.replace('#000000', 'currentColor')
  style = f'<style>{_STYLE.format(root=root)}</style>'
  return re.sub(r'<style.*?</style>', style, svg, count=1, flags=re.DOTALL)


def _shorter(path: re.Match[str]) -> str:
  """The same outline to a hundredth of a point, on one line."""
  words = [
    f'{float(word):.2f}'.rstrip('0').rstrip('.') if '.' in word else word
    for word in path[0].split()
  ]
  return re.sub(r' ?([A-Za-z]) ?', r'\1', ' '.join(words))
