"""Table 1, the table of Sec. 4.2 and Fig. 3, as read off the modules."""

import functools
import re
import xml.etree.ElementTree as ET

import flax.linen as nn
import jax
import pytest

from resnet_jax import models
from resnet_jax.models import complexity
from resnet_jax.paper import architecture, drawing

SVG = '{http://www.w3.org/2000/svg}'


@functools.cache
def summary(name, **overrides):
  return architecture.summary(name, **overrides)


@functools.cache
def layers(name, **overrides):
  model = models.create(name, **overrides)
  return complexity.layers(model, models.input_shape(name))


def texts(name):
  return [stage.text for stage in summary(name).stages]


@pytest.mark.parametrize(
  'name',
  [
    *('plain18', 'plain34', 'resnet18', 'resnet34'),
    *('resnet50', 'resnet101', 'resnet152', 'vgg16', 'vgg19'),
    *('cifar_plain20', 'cifar_resnet20', 'cifar_resnet110'),
    *(
      pytest.param(f'cifar_resnet{depth}', marks=pytest.mark.long)
      for depth in (32, 44, 56, 1202)
    ),
  ],
)
def test_a_name_says_the_depth(name):
  assert summary(name).depth == int(re.search(r'\d+$', name)[0])


def test_depth_does_not_count_what_is_beside_the_longest_path():
  projecting = layers('resnet34', shortcut='C')
  assert len(projecting) == 34 + 16
  assert max(layer.depth for layer in projecting) == 34
  assert summary('googlenet').depth == 22  # as its authors count


def test_rows_are_printed_as_in_table_1():
  assert texts('resnet34') == [
    '7x7, 64, stride 2',
    '3x3 max pool, stride 2; [3x3, 64; 3x3, 64] x 3',
    '[3x3, 128; 3x3, 128] x 4',
    '[3x3, 256; 3x3, 256] x 6',
    '[3x3, 512; 3x3, 512] x 3',
    'average pool; 1000-d fc',
  ]
  assert texts('cifar_resnet110') == [
    '3x3, 16',
    '[3x3, 16; 3x3, 16] x 18',
    '[3x3, 32; 3x3, 32] x 18',
    '[3x3, 64; 3x3, 64] x 18',
    'average pool; 10-d fc',
  ]


def test_rows_of_other_nets():
  assert texts('vgg19')[:2] == [
    '[3x3, 64] x 2',
    '2x2 max pool, stride 2; [3x3, 128] x 2',
  ]
  assert texts('alexnet')[:2] == [
    '11x11, 96, stride 4',
    '3x3 max pool, stride 2; 5x5, 256, 2 groups',
  ]
  rows = {stage.name: stage.text for stage in summary('googlenet').stages}
  assert rows['inception3b'] == (
    '[1x1, 128 | 1x1, 128; 3x3, 192 | 1x1, 32; 5x5, 96 | 3x3 max pool; 1x1, 64]'
  )
  assert rows['conv2'] == '3x3 max pool, stride 2; 1x1, 64; 3x3, 192'


def test_multiply_adds_of_vgg():
  sixteen, nineteen = summary('vgg16'), summary('vgg19')
  assert (sixteen.params, nineteen.params) == (138_357_544, 143_667_240)
  # Sec. 4.1's 15.3e9 is of convolutions; Fig. 3's 19.6e9 is of all.
  assert f'{sixteen.conv_macs / 1e9:.3f}' == '15.347'
  assert f'{sixteen.macs / 1e9:.3f}' == '15.470'
  assert f'{nineteen.macs / 1e9:.3f}' == '19.632'


def test_plain_nets_have_the_rows_of_their_residual_twins():
  assert texts('plain34') == texts('resnet34')
  assert summary('plain34').params == summary('resnet34').params


def test_output_sizes():
  for name in ('plain18', 'resnet34', 'resnet152'):
    rows = {stage.name: stage.output_size for stage in summary(name).stages}
    assert rows == {
      'conv1': 112,
      'conv2_x': 56,
      'conv3_x': 28,
      'conv4_x': 14,
      'conv5_x': 7,
      'fc': 1,
    }
  for name, sizes in (
    ('cifar_resnet20', [32, 32, 16, 8, 1]),
    ('vgg16', [224, 112, 56, 28, 14, 1, 1, 1]),
    ('alexnet', [55, 27, 13, 13, 13, 1, 1, 1]),
  ):
    assert [stage.output_size for stage in summary(name).stages] == sizes


def test_versions_differ_in_strides_and_multiply_adds_alone():
  ours, theirs = layers('resnet50'), layers('resnet50', version='v1.5')
  assert sum(x.macs for x in ours) == 3_857_973_248
  assert sum(x.macs for x in theirs) == 4_089_184_256
  for one, other in zip(ours, theirs, strict=True):
    assert (one.path, one.kernel) == (other.path, other.kernel)
    assert (one.params, one.depth) == (other.params, other.depth)
  v1, v15 = (
    {x.path for x in net if x.stride == (2, 2)} for net in (ours, theirs)
  )
  halving = ('conv3_x/block1', 'conv4_x/block1', 'conv5_x/block1')
  assert v1 - v15 == {f'{block}/conv1' for block in halving}
  assert v15 - v1 == {f'{block}/conv2' for block in halving}


@pytest.mark.parametrize('name', ['resnet50', 'cifar_plain20'])
def test_layers_and_norms_hold_all_parameters(name):
  convs = [layer for layer in layers(name) if layer.kind == 'conv']
  # A scale and an offset for each channel of each convolution.
  norms = sum(2 * layer.output_shape[2] for layer in convs)
  found = sum(layer.params for layer in layers(name))
  assert found + norms == summary(name).params


def test_a_layer():
  by_path = {layer.path: layer for layer in layers('resnet50')}
  assert by_path['conv3_x/block1/shortcut_conv'] == complexity.Layer(
    path='conv3_x/block1/shortcut_conv',
    kind='conv',
    kernel=(1, 1),
    stride=(2, 2),
    groups=1,
    input_shape=(56, 56, 256),
    output_shape=(28, 28, 512),
    params=256 * 512,
    macs=28 * 28 * 256 * 512,
    depth=11,
  )
  assert by_path['fc'] == complexity.Layer(
    path='fc',
    kind='fc',
    kernel=(1, 1),
    stride=(1, 1),
    groups=1,
    input_shape=(1, 1, 2048),
    output_shape=(1, 1, 1000),
    params=2048 * 1000 + 1000,
    macs=2048 * 1000,
    depth=50,
  )


def test_layers_are_seen_inside_of_rematerialized_blocks():
  name = 'cifar_resnet20'
  assert layers(name, remat=True) == layers(name)


class Branches(nn.Module):
  """Grouped, branching and pooled, unlike the paper's nets."""

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.Conv(8, (5, 3), strides=(2, 1), name='stem')(x)
    left = nn.Conv(4, (3, 3), feature_group_count=4, name='grouped')(x)
    left = nn.Conv(4, (1, 1), name='deep')(left)
    right = nn.max_pool(x, (3, 3), padding='SAME')
    right = nn.Conv(2, (1, 1), name='shallow')(right)
    x = jax.numpy.concatenate([left, right], -1)
    x = nn.avg_pool(x, (2, 2), strides=(2, 2))
    x = x / x.sum(-1, keepdims=True)  # sums over channels are no pooling
    return nn.Dense(10, name='fc')(x.reshape(x.shape[0], -1))


def test_layers_of_a_net_with_branches():
  found = complexity.layers(Branches(), (8, 8, 3), pools=True)
  assert [
    (x.path, x.kind, x.kernel, x.output_shape, x.groups, x.params, x.depth)
    for x in found
  ] == [
    ('stem', 'conv', (5, 3), (4, 8, 8), 1, 15 * 3 * 8 + 8, 1),
    ('grouped', 'conv', (3, 3), (4, 8, 4), 4, 9 * 2 * 4 + 4, 2),
    ('deep', 'conv', (1, 1), (4, 8, 4), 1, 4 * 4 + 4, 3),
    ('', 'max_pool', (3, 3), (4, 8, 8), 1, 0, 1),
    ('shallow', 'conv', (1, 1), (4, 8, 2), 1, 8 * 2 + 2, 2),
    ('', 'avg_pool', (2, 2), (2, 4, 6), 1, 0, 3),
    ('fc', 'fc', (1, 1), (1, 1, 10), 1, 48 * 10 + 10, 4),
  ]
  macs = {x.path: x.macs for x in found if x.macs}
  assert macs['stem'] == 4 * 8 * 8 * 15 * 3
  assert macs['grouped'] == 4 * 8 * 4 * 9 * 2
  assert macs['fc'] == 480


def test_dotted_shortcuts_are_those_where_dimensions_grow():
  column = drawing.column('resnet34')
  assert len(column.shortcuts) == 16
  grown = [
    (column.boxes[x.before].label, column.boxes[x.before + 1].label)
    for x in column.shortcuts
    if x.grows
  ]
  assert grown == [
    ('3x3 conv, 64', '3x3 conv, 128, /2'),
    ('3x3 conv, 128', '3x3 conv, 256, /2'),
    ('3x3 conv, 256', '3x3 conv, 512, /2'),
  ]
  assert drawing.column('plain18').shortcuts == ()
  # A bottleneck's first stage grows, too: from 64 to 256 channels.
  assert sum(x.grows for x in drawing.column('resnet50').shortcuts) == 4


def test_a_net_with_branches_is_not_drawn_as_a_chain():
  with pytest.raises(ValueError, match='googlenet has parallel branches'):
    drawing.column('googlenet')


def test_labels_of_a_column():
  column = drawing.column('vgg19')
  assert (column.title, column.subtitle) == (
    'VGG-19',
    '19.6 billion multiply-adds',
  )
  labels = [box.label for box in column.boxes]
  assert labels[:4] == ['image', '3x3 conv, 64', '3x3 conv, 64', 'pool, /2']
  assert labels[-3:] == ['fc 4096', 'fc 4096', 'fc 1000']
  assert labels.count('pool, /2') == 5
  assert len(labels) == 1 + 5 + 19


def test_a_drawing(tmp_path):
  first, second = (tmp_path / name / 'fig3' for name in ('first', 'second'))
  for stem in (first, second):
    stem.parent.mkdir()
    drawing.draw(('cifar_plain8', 'cifar_resnet8'), stem)
  for suffix in ('.png', '.svg'):
    written = first.with_suffix(suffix).read_bytes()
    assert written == second.with_suffix(suffix).read_bytes()
    assert len(written) < 200_000
  root = ET.parse(first.with_suffix('.svg')).getroot()
  for glyphs in root.iter(f'{SVG}defs'):
    glyphs.clear()
  paths = [(x.get('d'), x.get('style', '')) for x in root.iter(f'{SVG}path')]
  # A tint for each layer with weights; an arc around each block.
  assert sum('fill-opacity' in style for _, style in paths) == 8 + 8
  assert sum(d.count('C') for d, _ in paths) == 3
  dotted = [d for d, style in paths if 'dasharray' in style]
  assert sum(d.count('C') for d in dotted) == 2
  groups = {x.get('id', ''): x for x in root.iter(f'{SVG}g')}
  texts = [key for key in groups if key.startswith('text_')]
  # For each net a title, its multiply-adds, and labels, with the image's and
  # the average pool's; 'output size', and the sizes 32, 16, 8 and 1.
  assert len(texts) == 2 * (2 + 10) + 1 + 4
  # An arrow from each box to the next, and into the end of each block.
  lines = [x for key, x in groups.items() if key.startswith('line2d_')]
  heads = sum(len(list(x.iter(f'{SVG}use'))) for x in lines)
  assert heads == 2 * 9 + 3
