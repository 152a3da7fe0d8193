"""Figures show the given numbers, and their files suit any page."""

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from resnet_jax.paper import canvas, figures
from resnet_jax.paper.figures import Curve, Panel, ResponseSeries
from resnet_jax.runs import curves
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
    monkeypatch.setattr(canvas, 'save', lambda figure, _: saved.append(figure))
    function(*args, tmp_path / 'name', **options)
    return saved[0]

  return draw


def lines_of(axes):
  """The lines of data, and not the marks, by color and width."""
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
  (legend,) = figure.legends
  colors = {
    text.get_text(): handle.get_color()
    for text, handle in zip(
      legend.get_texts(), legend.legend_handles, strict=True
    )
    if hasattr(handle, 'get_color')
  }
  assert list(colors) == [
    *('20 layers', '110 layers', 'training', 'test', 'paper')
  ]
  assert (colors['110 layers'], 2.0) in lines_of(plain)
  assert legend.get_texts()[-1].get_text() == 'range of 2 seeds'
  assert legend.get_title().get_text() == '500 of 64,000 steps'


def test_dollars_in_a_note_are_no_formula(tmp_path):
  note = r'$\frac$.npz in place of cifar10'
  figures.error_curves(PANELS, tmp_path / 'a', note=note)
  figures.response_figure(SERIES, tmp_path / 'b', note=note)


def test_one_split_each_as_in_fig_1(drawn):
  panels = [
    Panel('training error', CURVES, ('train',)),
    Panel('test error', CURVES, ('test',)),
    Panel('nothing', CURVES[:1], ('train',)),
  ]
  train, test = drawn(figures.error_curves, panels).axes
  assert len(train.lines) == 1 and len(lines_of(test)) == 2
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


@pytest.mark.parametrize('count', [1, 2, 3])
def test_nothing_overlaps_or_is_cut(drawn, count):
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  curves = [
    Curve(f'ResNet-{depth}', [], [[(10, 20), (60000, 8)]], depth, 7.5)
    for depth in (8, 14, 20, 32, 44, 56, 110, 1202)
  ]
  panels = [Panel(f'panel {i}', curves) for i in range(count)]
  note = 'shrunk: 1,500 of 64,000 steps; 2 of 6 networks; fewer seeds ' * 3
  figure = drawn(figures.error_curves, panels, note=note)
  renderer = FigureCanvasAgg(figure).get_renderer()
  figure.draw(renderer)  # only now is all in its place
  (legend,) = figure.legends
  boxes = [
    legend.get_window_extent(renderer),
    *(axes.get_tightbbox(renderer) for axes in figure.axes),
  ]
  for i, box in enumerate(boxes):
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
    assert not any(box.overlaps(other) for other in boxes[:i])


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


def test_svgs_suit_light_and_dark_pages(files):
  for _, file in files:
    text = file.read_text()
    root = ElementTree.fromstring(text)
    assert root.tag.endswith('svg') and root.get('fill') == 'currentColor'
    assert '@media screen and (prefers-color-scheme:dark){svg{color:' in text
    assert '#ffffff' not in text and '#000000' not in text
    assert len(text) < 60_000


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
  with pytest.raises(ValueError, match='no responses'):
    figures.response_figure([ResponseSeries('a', [], 'plain', 20)], stem)
  assert not list(tmp_path.iterdir())


def test_the_curves_of_one_run(tmp_path, monkeypatch):
  from matplotlib.figure import Figure

  saved = []
  save = Figure.savefig
  monkeypatch.setattr(
    Figure,
    'savefig',
    lambda self, *args, **options: (
      saved.append(self),
      save(self, *args, **options),
    ),
  )
  records = [
    {'step': step, 'split': split, 'error': error}
    for split, error in (('train', 0.5), ('validation', 0.4), ('test', 0.3))
    for step in (10, 20)
  ]
  for name, some in (('run', records), ('step', records[:1]), ('none', [])):
    curves.draw(some, name, tmp_path / f'{name}.png')
    content = (tmp_path / f'{name}.png').read_bytes()
    assert content.startswith(b'\x89PNG')
  whole, step, none = (figure.axes[0] for figure in saved)
  assert [line.get_label() for line in whole.lines] == [
    *('train', 'validation', 'test')
  ]
  assert [line.get_linestyle() for line in whole.lines] == ['--', '-', '-']
  assert whole.lines[2].get_ydata().tolist() == [30, 30]
  assert whole.get_ylim()[0] == 0 and whole.get_legend() is not None
  assert step.lines[0].get_marker() == 'o' and not none.lines


def test_imports_nothing_of_training():
  code = (
    'import sys, resnet_jax.paper.figures; '
    'assert not {"jax", "matplotlib", "resnet_jax.train"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], cwd=command.ROOT, check=True)
