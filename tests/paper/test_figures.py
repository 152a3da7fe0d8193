"""What is drawn is what was given, and the files suit any page."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from resnet_jax.paper import figures
from resnet_jax.paper.figures import Curve, Panel, ResponseSeries
from tests import command

# Two seeds; the second lacks a step.
TRAIN = [
  [(100, 50.0), (200, 20.0), (300, 8.0)],
  [(100, 60.0), (300, 10.0)],
]
TEST = [[(150, 30.0), (300, 11.0)], [(150, 34.0), (300, 15.0)]]
CURVES = [
  Curve('20-layer', [], [[(150, 30.0), (300, 12.5)]], 20, paper_end=8.75),
  Curve('110-layer', TRAIN, TEST, 110),
]
PANELS = [Panel('plain', CURVES[1:]), Panel('residual', CURVES)]
SERIES = [
  ResponseSeries('plain-20', [2.0, 3.0, 1.0], 'plain', 20),
  ResponseSeries('ResNet-20', [0.5, 1.5, 1.0, 0.7], 'residual', 20),
]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
  """Draws without writing; returns matplotlib's figure."""

  def draw(function, *args, **options):
    saved = []
    monkeypatch.setattr(figures, 'save', lambda figure, _: saved.append(figure))
    function(*args, tmp_path / 'name', **options)
    return saved[0]

  return draw


def lines_of(axes):
  """Of data, and not of marks: by color and width."""
  return {
    (line.get_color(), line.get_linewidth()): line
    for line in axes.lines
    if line.get_linestyle() != 'None'
  }


def test_means_and_ranges(drawn):
  figure = drawn(figures.error_curves, PANELS, note='500 of 64,000 steps')
  plain, residual = figure.axes
  assert [axes.get_title() for axes in figure.axes] == ['plain', 'residual']
  train, test = plain.lines
  np.testing.assert_allclose(train.get_xydata(), [(100, 55), (300, 9)])
  np.testing.assert_allclose(test.get_xydata(), [(150, 32), (300, 13)])
  assert train.get_linewidth() < 1 < test.get_linewidth()
  assert train.get_linestyle() == '--' and test.get_linestyle() == '-'
  assert train.get_color() == test.get_color()
  assert set(lines_of(plain)) < set(lines_of(residual))
  _, band = plain.collections
  corners = set(map(tuple, band.get_paths()[0].vertices))
  assert corners == {(150, 30), (150, 34), (300, 11), (300, 15)}
  (mark,) = (x for x in residual.lines if x not in lines_of(residual).values())
  assert mark.get_ydata() == [8.75]
  texts = [text.get_text() for text in residual.texts]
  assert texts == ['20-layer', '110-layer']
  (legend,) = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == [
    'training',
    'test',
    'paper, at the end',
    'range of 2 seeds',
  ]
  assert figure.texts[0].get_text() == '500 of 64,000 steps'


def test_one_kind_each_as_in_fig_1(drawn):
  panels = [
    Panel('training error', CURVES, ('train',)),
    Panel('test error', CURVES, ('test',)),
    Panel('nothing', CURVES[:1], ('train',)),
  ]
  figure = drawn(figures.error_curves, panels, dashed=False)
  train, test = figure.axes
  assert len(train.lines) == 1 and train.lines[0].get_linestyle() == '-'
  assert len(lines_of(test)) == 2
  assert train.get_ylim() == test.get_ylim()


def full_run(end, start=90.0):
  """Errors of 64k steps, of which the first half is high."""
  steps = np.arange(100, 64001, 100)
  errors = np.where(steps < 32000, 25, end) + start * np.exp(-steps / 1000)
  return list(zip(steps.tolist(), errors.tolist(), strict=True))


def test_axes_suit_the_run(drawn):
  def axes(points, **options):
    panel = Panel('plain', [Curve('56-layer', [points], [], 56)])
    (axes,) = drawn(figures.error_curves, [panel], **options).axes
    return axes

  paper = axes(full_run(13.25))
  assert paper.get_ylim() == (0, 20) and paper.get_xlabel() == 'iter. (1e4)'
  assert paper.get_xlim() == (0, 6.4)
  ticks = [tick for tick in paper.get_xticks() if 0 <= tick <= 6.4]
  assert ticks == list(range(7))
  short = axes([(100, 80.0), (500, 62.0)])
  assert short.get_xlabel() == 'steps' and short.get_xlim() == (0, 500)
  assert short.get_ylim()[1] >= 70
  assert axes(full_run(30), ylim=(20, 60)).get_ylim() == (20, 60)
  assert axes(full_run(5), ylim=(20, 60)).get_ylim() == (0, 60)


def test_many_records_are_averaged(drawn):
  errors = np.random.default_rng(0).uniform(0, 20, 1000)
  points = list(zip(range(1, 1001), errors.tolist(), strict=True))
  panel = Panel('', [Curve('', [points], [points], 20)])
  train, test = drawn(figures.error_curves, [panel]).axes[0].lines
  np.testing.assert_allclose(train.get_ydata(), errors.reshape(200, 5).mean(1))
  np.testing.assert_array_equal(train.get_xdata(), np.arange(5, 1001, 5))
  np.testing.assert_array_equal(test.get_ydata(), errors)


def test_labels_are_apart(drawn):
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.text import Text

  curves = [
    Curve(f'ResNet-{depth}', [], [[(10, end), (60000, end)]], depth, end)
    for depth, end in (
      (20, 8.75),
      (32, 7.51),
      (44, 7.17),
      (56, 6.97),
      (110, 6.43),
      (1202, 7.93),
      (8, 0.0),
      (14, 0.1),
    )
  ]
  figure = drawn(figures.error_curves, [Panel('a', curves), Panel('b', curves)])
  renderer = FigureCanvasAgg(figure).get_renderer()
  figure.draw(renderer)  # only now are the labels in their places
  left, right = figure.axes
  # Without the lines that lead to them.
  boxes = [Text.get_window_extent(text, renderer) for text in left.texts]
  order = np.argsort([curve.paper_end for curve in curves])
  heights = np.array([box.y0 for box in boxes])[order]
  # Letters of 9 points are 7 high, and their boxes have room to spare.
  assert (np.diff(heights) >= 10 * figure.dpi / 72).all()
  assert heights[0] >= left.bbox.y0 - boxes[0].height
  assert all(left.bbox.x1 < box.x0 and box.x1 < right.bbox.x0 for box in boxes)
  last = [Text.get_window_extent(text, renderer) for text in right.texts]
  assert all(box.x1 < figure.bbox.x1 for box in last)


def test_responses_in_both_orders(drawn):
  figure = drawn(figures.response_figure, SERIES)
  top, bottom = figure.axes
  for plot, key in ((top, list), (bottom, lambda x: sorted(x)[::-1])):
    for line, series in zip(plot.lines, SERIES, strict=True):
      np.testing.assert_array_equal(line.get_ydata(), key(series.stds))
      assert line.get_xdata()[0] == 1
  plain, residual = top.lines
  assert plain.get_linestyle() == '--' and residual.get_linestyle() == '-'
  assert plain.get_color() == residual.get_color()
  assert top.get_yscale() == 'linear' and top.get_ylim()[0] == 0
  exploding = ResponseSeries('plain-56', [57.0, 22.0, 1.0], 'plain', 56)
  figure = drawn(figures.response_figure, [*SERIES, exploding])
  assert {axes.get_yscale() for axes in figure.axes} == {'log'}


def contrast(color, background):
  def luminance(text):
    rgb = np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(
      rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4
    )
    return linear @ (0.2126, 0.7152, 0.0722)

  low, high = sorted(map(luminance, (color, background)))
  return (high + 0.05) / (low + 0.05)


def test_colors():
  depths = [20, 32, 44, 56, 110]
  colors = figures._colors([*depths, 8])
  assert len(set(colors.values())) == 6
  assert colors == figures._colors(reversed([*depths, 8]))
  for color in set(colors.values()) - {'#000000'}:  # which is `currentColor`
    assert contrast(color, '#ffffff') >= 3 and contrast(color, '#111111') >= 3


@pytest.fixture
def files(tmp_path):
  """Both figures, written."""
  stems = tmp_path / 'figure.6', tmp_path / 'figure 7'
  figures.error_curves(PANELS, stems[0], note='shrunk & short')
  figures.response_figure(SERIES, stems[1])
  return [
    (stem.parent / f'{stem.name}.png', stem.parent / f'{stem.name}.svg')
    for stem in stems
  ]


def test_pngs_are_white_and_small(files):
  from PIL import Image

  for png, _ in files:
    assert png.stat().st_size < 200_000
    with Image.open(png) as image:
      assert round(image.info['dpi'][0]) == 150
      assert image.convert('RGBA').getpixel((0, 0)) == (255, 255, 255, 255)


def test_svgs_suit_any_background(files):
  for _, file in files:
    text = file.read_text()
    root = ElementTree.fromstring(text)
    assert root.tag.endswith('svg') and root.get('fill') == 'currentColor'
    assert '@media screen and (prefers-color-scheme: dark)' in text
    assert '#ffffff' not in text and '#000000' not in text
    assert len(text) < 60_000


def test_svgs_share_a_page(files):
  """Ids of one are not in the other, and each refers to its own."""
  texts = [svg.read_text() for _, svg in files]
  assert all(text.startswith('<svg ') for text in texts)
  ids = [re.findall(r'\bid="([^"]+)"', text) for text in texts]
  every = [*ids[0], *ids[1]]
  assert len(set(every)) == len(every) > 20
  for own, text in zip(ids, texts, strict=True):
    used = re.findall(r'(?:href="|url\()#([^")]+)', text)
    assert set(own) == {*used, own[0]}
  # Rules of style name the figure, or hold where it is the whole document.
  for own, text in zip(ids, texts, strict=True):
    (style,) = re.findall('<style>(.*?)</style>', text)
    selectors = re.findall(r'([^{}]+)\{', re.sub('@media[^{]*{', '', style))
    assert set(selectors) <= {'svg:root', '}svg:root', f'#{own[0]} *'}


def test_same_bytes_twice(files, tmp_path):
  before = [file.read_bytes() for pair in files for file in pair]
  figures.error_curves(PANELS, tmp_path / 'figure.6', note='shrunk & short')
  figures.response_figure(SERIES, tmp_path / 'figure 7')
  assert before == [file.read_bytes() for pair in files for file in pair]


def test_nothing_to_draw(tmp_path):
  stem = tmp_path / 'figure'
  for panels in ([], [Panel('plain', [])], [Panel('', CURVES[:1], ('train',))]):
    with pytest.raises(ValueError, match='no panel has a curve'):
      figures.error_curves(panels, stem)
  apart = Curve('20-layer', [], [[(1, 5.0)], [(2, 5.0)]], 20)
  with pytest.raises(ValueError, match='share no step'):
    figures.error_curves([Panel('', [apart])], stem)
  with pytest.raises(ValueError, match='no responses'):
    figures.response_figure([], stem)
  for stds, kind in (([], 'plain'), ([1.0], 'resnet')):
    with pytest.raises(ValueError, match="must be 'plain' or 'residual'"):
      figures.response_figure([ResponseSeries('a', stds, kind, 20)], stem)
  assert not list(tmp_path.iterdir())


def test_imports_nothing_of_training():
  code = (
    'import sys, resnet_jax.paper.figures; '
    'assert not {"jax", "matplotlib", "resnet_jax.train"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], cwd=command.ROOT, check=True)
