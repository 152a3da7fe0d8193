"""Weights in and out: against PyTorch's networks, and what is refused."""

import operator
import os
import pathlib
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models, weights
from resnet_jax.errors import UserError
from resnet_jax.runs import checkpoint
from resnet_jax.weights import __main__ as cli
from resnet_jax.weights import channels, names
from tests import command

torch = pytest.importorskip('torch')
pytestmark = pytest.mark.usefixtures('quick_compilation')

DATA = os.environ.get('RESNET_JAX_TEST_DATA')
REAL = sorted(pathlib.Path(DATA, 'weights').glob('*.th')) if DATA else []
OPERATORS = []  # declarations end with the object that holds them


def torchvision_net(name, **fields):
  """One of torchvision's networks in eval mode, of random numbers."""
  try:
    torchvision = pytest.importorskip('torchvision')
  except RuntimeError:
    # Its compiled part is of another PyTorch: declare the two operators that
    # its import looks for, which resnets do not use.
    OPERATORS.append(torch.library.Library('torchvision', 'DEF'))
    signature = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
    for name_of_operator in ('nms', 'qnms'):
      OPERATORS[0].define(name_of_operator + signature)
    for module in [m for m in sys.modules if m.split('.')[0] == 'torchvision']:
      del sys.modules[module]
    torchvision = pytest.importorskip('torchvision')
  with torch.device('meta'):  # its own initialization takes a while
    net = getattr(torchvision.models, name)(weights=None, **fields)
  return randomize(net.to_empty(device='cpu'))


def randomize(net, seed=0):
  """Numbers at which every array matters, and no depth explodes."""
  generator = torch.Generator().manual_seed(seed)

  def uniform(x, low, high):
    x.copy_(torch.rand(x.shape, generator=generator) * (high - low) + low)

  with torch.no_grad():
    for name, x in net.state_dict().items():
      if x.ndim == 4:
        x.normal_(0, (2 / x[0].numel()) ** 0.5, generator=generator)
      elif x.ndim == 2:
        x.normal_(0, 0.1, generator=generator)
      elif name.endswith(('weight', 'running_var')):
        uniform(x, 0.8, 1.2)
      elif x.ndim == 1:
        uniform(x, -0.3, 0.3)
      else:
        x.zero_()
    for name, x in net.state_dict().items():
      if name.endswith(('bn3.weight', 'bn2.weight')):
        x.mul_(0.3)  # residuals add up
  return net.eval()


class CifarBlock(torch.nn.Module):
  """Two convolutions and a shortcut, 'B' or 'A' with zeros on both sides."""

  def __init__(self, before, channels, shortcut):
    super().__init__()
    nn, stride = torch.nn, channels // before
    self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(channels)
    self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(channels)
    self.stride, self.margin = stride, (channels - before) // 2
    self.shortcut = self.zeros_on_both_sides
    if shortcut == 'B' and stride > 1:
      self.shortcut = nn.Sequential(
        nn.Conv2d(before, channels, 1, stride, bias=False),
        nn.BatchNorm2d(channels),
      )

  def zeros_on_both_sides(self, x):
    x = x[:, :, :: self.stride, :: self.stride]
    sides = (0, 0, 0, 0, self.margin, self.margin)
    return torch.nn.functional.pad(x, sides)

  def forward(self, x):
    y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
    return (y + self.shortcut(x)).relu()


class CifarNet(torch.nn.Module):
  """A CIFAR net of 6n+2 layers with the reimplementation's names."""

  def __init__(self, n, shortcut='A', num_classes=10):
    super().__init__()
    self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    self.bn1 = torch.nn.BatchNorm2d(16)
    before = 16
    for i, filters in enumerate((16, 32, 64), 1):
      inputs = [before] + [filters] * (n - 1)
      stage = [CifarBlock(b, filters, shortcut) for b in inputs]
      setattr(self, f'layer{i}', torch.nn.Sequential(*stage))
      before = filters
    self.linear = torch.nn.Linear(64, num_classes)

  def forward(self, x):
    x = self.bn1(self.conv1(x)).relu()
    x = self.layer3(self.layer2(self.layer1(x)))
    return self.linear(x.mean((2, 3)))


def arrays_of(net):
  return {name: x.numpy().copy() for name, x in net.state_dict().items()}


def build(arrays, **fields):
  """The network that `arrays` are of, and its variables."""
  found = weights.detect(arrays)
  overrides = found.overrides | fields
  model = models.create(
    found.network, num_classes=found.num_classes, **overrides
  )
  return model, weights.to_variables(arrays, model)


def images_of(shape):
  return np.random.default_rng(1).normal(size=shape)


def relative_error(actual, desired):
  actual, desired = np.asarray(actual), np.asarray(desired)
  assert actual.dtype == desired.dtype
  assert actual.shape == desired.shape
  largest = np.abs(desired).max()
  assert 0 < largest < 1e6
  return np.abs(actual - desired).max() / largest


def assert_same_logits(net, shape):
  """Our logits are those of `net`, relative to the largest one."""
  model, variables = build(arrays_of(net))
  for precision, limit in (('float32', 1e-4), ('float64', 1e-9)):
    images = images_of(shape).astype(precision)
    with jax.enable_x64(precision == 'float64'):
      cast = jax.tree.map(operator.methodcaller('astype', precision), variables)
      apply = jax.jit(model.clone(dtype=jnp.dtype(precision)).apply)
      ours = apply(cast, images)
    with torch.no_grad():
      x = torch.tensor(images).permute(0, 3, 1, 2)
      theirs = net.to(x.dtype)(x)
    error = relative_error(ours, theirs.numpy())
    print(f'{precision}: {error:.1e}')
    assert error < limit


slow = pytest.mark.slow


@pytest.mark.parametrize(
  ('name', 'shape'),
  [
    pytest.param('resnet18', (2, 65, 97, 3), marks=slow),
    pytest.param('resnet34', (1, 65, 97, 3), marks=slow),
    ('resnet50', (1, 65, 97, 3)),
    pytest.param('resnet101', (2, 65, 97, 3), marks=slow),
    pytest.param('resnet152', (1, 97, 64, 3), marks=slow),
    ('resnet18', (1, 224, 224, 3)),
    pytest.param('resnet50', (1, 224, 224, 3), marks=slow),
  ],
)
def test_logits_are_torchvisions(name, shape):
  assert_same_logits(torchvision_net(name), shape)


@pytest.mark.parametrize('shortcut', ['A', 'B'])
def test_logits_are_the_cifar_reimplementations(shortcut):
  assert_same_logits(randomize(CifarNet(2, shortcut)), (2, 13, 18, 3))


@pytest.mark.parametrize(
  'name', ['resnet18', pytest.param('resnet50', marks=slow)]
)
def test_gradients_are_torchvisions(name):
  net = torchvision_net(name, num_classes=10)
  arrays = arrays_of(net)
  images = images_of((1, 33, 41, 3))
  net = net.double()
  net(torch.tensor(images).permute(0, 3, 1, 2)).square().sum().backward()
  theirs = {name: p.grad.numpy() for name, p in net.named_parameters()}
  with jax.enable_x64(True):
    model, variables = build(arrays, dtype=jnp.float64)
    variables = jax.tree.map(lambda x: x.astype(np.float64), variables)

    @jax.jit
    @jax.grad
    def gradients(params):
      logits = model.apply(variables | {'params': params}, images)
      return jnp.square(logits).sum()

    tree = gradients(variables['params'])
  worst = 0
  for name, ours in checkpoint.flatten({'params': tree}).items():
    desired = theirs.pop(names.torch_name(name, cifar=False))
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[ours.ndim]
    worst = max(worst, relative_error(ours, desired.transpose(axes)))
  assert not theirs
  print(f'{worst:.1e}')
  assert worst < 1e-9


def test_order_of_channels_by_hand():
  # 4, 8, 16 channels: old ones at 2 ... 5 of 8, then those at 4 ... 11 of 16.
  orders = channels.stream_orders((4, 8, 16))
  assert [order.tolist() for order in orders] == [
    [0, 1, 2, 3],
    [2, 3, 4, 5, 0, 1, 6, 7],
    [6, 7, 8, 9, 4, 5, 10, 11, 0, 1, 2, 3, 12, 13, 14, 15],
  ]


def assert_round_trip(arrays):
  model, variables = build(arrays)
  exported = weights.from_variables(variables, model)
  counters = {name for name in exported if names.is_counter(name)}
  assert exported.keys() - arrays.keys() <= counters
  assert arrays.keys() <= exported.keys()
  for name, x in arrays.items():
    assert exported[name].dtype == x.dtype
    np.testing.assert_array_equal(exported[name], x, name)
  assert all(exported[name].shape == () for name in counters)
  return exported


@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_out_is_what_came_in(name):
  net = torchvision_net(name, num_classes=7)
  exported = assert_round_trip(arrays_of(net))
  net.load_state_dict({k: torch.tensor(x) for k, x in exported.items()})


@pytest.mark.parametrize('shortcut', ['A', 'B'])
def test_out_is_what_came_in_for_cifar(shortcut):
  net = randomize(CifarNet(2, shortcut))
  exported = assert_round_trip(arrays_of(net))
  net.load_state_dict({k: torch.tensor(x) for k, x in exported.items()})


@pytest.mark.skipif(not REAL, reason='RESNET_JAX_TEST_DATA has no weights')
@pytest.mark.parametrize('path', REAL, ids=lambda path: path.name)
def test_real_files(path):
  arrays = weights.read(path)
  found = weights.detect(arrays)
  depth = path.name.removeprefix('resnet').split('-')[0]
  assert found.network == f'cifar_resnet{depth}'
  assert found.num_classes == 10
  assert found.overrides == {'shortcut': 'A'}
  assert_round_trip(arrays)
  net = CifarNet((int(depth) - 2) // 6)
  net.load_state_dict(
    {name: torch.tensor(x) for name, x in arrays.items()}, strict=False
  )
  assert_same_logits(net.eval(), (2, 32, 32, 3))


@pytest.mark.parametrize(
  ('name', 'overrides'),
  [
    ('resnet34', {'shortcut': 'B', 'stem_pool': 'padded'}),
    (
      'resnet50',
      {'shortcut': 'B', 'stem_pool': 'padded', 'version': 'v1.5'},
    ),
  ],
)
def test_detect(name, overrides):
  found = weights.detect(arrays_of(torchvision_net(name, num_classes=5)))
  assert found == weights.Architecture(name, 5, overrides)


@pytest.mark.parametrize(
  'suffix', ['.safetensors', '.npz', '.pth', '.pt', '.th']
)
def test_every_kind_of_file(tmp_path, suffix):
  x = {'module.a.weight': torch.arange(6.0).reshape(2, 3).T}
  x['module.b'] = torch.tensor(7)
  path = tmp_path / f'weights{suffix}'
  if suffix == '.safetensors':
    weights.write_safetensors(path, {k: v.numpy() for k, v in x.items()})
  elif suffix == '.npz':
    np.savez(path, **x)
  else:
    content = {'.pth': x, '.pt': {'state_dict': x}, '.th': {'model': x}}
    torch.save(content[suffix], path)
  arrays = weights.read(path)
  assert arrays.keys() == {'a.weight', 'b'}
  np.testing.assert_array_equal(arrays['a.weight'], [[0, 3], [1, 4], [2, 5]])
  assert arrays['b'].shape == ()
  assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_narrow_floats_become_float32(tmp_path, dtype, suffix):
  path = tmp_path / f'narrow{suffix}'
  if suffix == '.pth':
    torch.save(
      {'x': torch.tensor([1.5, -2], dtype=getattr(torch, dtype))}, path
    )
  else:
    weights.write_safetensors(
      path, {'x': np.array([1.5, -2], jnp.dtype(dtype))}
    )
  x = weights.read(path)['x']
  assert x.dtype == np.float32
  np.testing.assert_array_equal(x, [1.5, -2])


class Bomb:
  """Makes a folder when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_no_pickle_is_run(tmp_path):
  made = tmp_path / 'made'
  path = tmp_path / 'bomb.pth'
  torch.save({'state_dict': Bomb(made)}, path)
  with pytest.raises(UserError, match=r'would run or make posix\.mkdir'):
    weights.read(path)
  path = tmp_path / 'bomb.npz'
  np.savez(path, x=np.array([Bomb(made)], object))
  with pytest.raises(UserError, match='Python objects, which could run code'):
    weights.read(path)
  assert not made.exists()


@pytest.mark.parametrize(
  ('name', 'content', 'words'),
  [
    ('text.pth', b'hello', "no PyTorch file.*begins with b'hello'"),
    ('empty.pth', b'', 'no PyTorch file'),
    ('zip.pth', b'PK\3\4 and no more', 'no PyTorch file'),
    ('text.npz', b'hello', 'no .npz file.*no zip archive'),
    ('text.safetensors', b'hello', 'no safetensors file'),
    ('weights.bin', b'hello', "ends in '.bin'"),
  ],
)
def test_other_files_are_refused(tmp_path, name, content, words):
  path = tmp_path / name
  path.write_bytes(content)
  with pytest.raises(UserError, match=words):
    weights.read(path)


@pytest.mark.parametrize('suffix', ['.safetensors', '.npz', '.pth'])
def test_files_cut_short_are_refused(tmp_path, suffix):
  path = tmp_path / f'whole{suffix}'
  x = np.arange(1000.0)
  if suffix == '.pth':
    torch.save({'x': torch.tensor(x)}, path)
  elif suffix == '.npz':
    np.savez(path, x=x)
  else:
    weights.write_safetensors(path, {'x': x})
  path.write_bytes(path.read_bytes()[:-500])
  with pytest.raises(UserError, match='cut short'):
    weights.read(path)


def test_flipped_bits_of_npz_are_refused(tmp_path):
  path = tmp_path / 'flipped.npz'
  np.savez(path, x=np.arange(1000.0))
  assert zipfile.is_zipfile(path)
  content = bytearray(path.read_bytes())
  content[4000] ^= 1
  path.write_bytes(content)
  with pytest.raises(UserError, match='damaged'):
    weights.read(path)


def test_what_is_no_weights_is_refused(tmp_path):
  with pytest.raises(UserError, match='does not exist'):
    weights.read(tmp_path / 'none.pth')
  with pytest.raises(UserError, match='is a folder'):
    weights.read(tmp_path)
  path = tmp_path / 'other.pth'
  torch.save({'epoch': 3, 'best': 0.5}, path)
  with pytest.raises(UserError, match="holds 'epoch', a int"):
    weights.read(path)
  torch.save([torch.zeros(3)], path)
  with pytest.raises(UserError, match='a list and not a dict'):
    weights.read(path)
  with pytest.raises(UserError, match='cannot be written'):
    weights.write_safetensors(tmp_path / 'no' / 'x.safetensors', {})


@pytest.fixture(scope='module')
def cifar_arrays():
  return arrays_of(randomize(CifarNet(1)))


def test_differences_are_a_readable_list(cifar_arrays):
  arrays = dict(cifar_arrays)
  model, _ = build(arrays)
  del arrays['layer1.0.conv1.weight']
  arrays['foo.bar'] = np.zeros(3, np.float32)
  arrays['linear.weight'] = np.zeros((10, 32), np.float32)
  arrays['bn1.bias'] = np.zeros(16, np.int8)
  with pytest.raises(UserError) as info:
    weights.to_variables(arrays, model)
  assert str(info.value).splitlines() == [
    'the weights are not those of this network:',
    '- layer1.0.conv1.weight  missing',
    '+ foo.bar  unknown',
    '~ linear.weight  [10, 32] and not [10, 64]',
    '~ bn1.bias  int8 and not a float',
  ]


def test_numbers_that_are_not_finite_are_refused(cifar_arrays):
  model, _ = build(cifar_arrays)
  arrays = cifar_arrays | {'bn1.bias': np.full(16, np.nan)}
  arrays['bn1.weight'] = np.array([1e300] + [0.0] * 15)
  with pytest.raises(UserError) as info:
    weights.to_variables(arrays, model)
  assert '~ bn1.bias  16 of 16 numbers are not finite' in str(info.value)
  assert '~ bn1.weight  1 of 16 numbers' in str(info.value)


def test_variables_of_another_network_are_refused(cifar_arrays):
  _, variables = build(cifar_arrays)
  deeper = models.create('cifar_resnet14')
  with pytest.raises(UserError, match=r'conv2_x/block2/bn1/mean  missing'):
    weights.from_variables(variables, deeper)
  for name in ('cifar_plain8', 'resnet18'):
    with pytest.raises(UserError, match='PyTorch'):
      weights.from_variables(variables, models.create(name))


def zeros(**shapes):
  return {
    name.replace('_', '.'): np.zeros(s, np.float32)
    for name, s in shapes.items()
  }


@pytest.mark.parametrize(
  ('arrays', 'words'),
  [
    (zeros(conv1_0_weight=(32, 3, 3, 3)), 'its stem is several convolutions'),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7), layer1_0_downsample_1_weight=(256, 64, 1, 1)
      ),
      'pool before they project',
    ),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7),
        layer1_0_conv1_weight=(128, 64, 1, 1),
        layer1_0_conv2_weight=(128, 4, 3, 3),
      ),
      'reads 4 of 128 channels at a time, as in ResNeXt',
    ),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7),
        layer1_0_conv1_weight=(128, 64, 1, 1),
        layer1_0_conv2_weight=(128, 128, 3, 3),
      ),
      '128 channels wide and not 64 .*Wide ResNet',
    ),
    (
      zeros(
        conv1_weight=(64, 3, 7, 7),
        layer1_1_conv3_weight=(1,),
        layer2_1_conv3_weight=(1,),
      ),
      'a 7x7 stem and stages of 2, 2 bottleneck blocks',
    ),
    (zeros(stem_weight=(64, 3, 7, 7)), r'no conv1.weight; .*stem.weight'),
    (zeros(conv1_weight=(64, 3, 5, 5)), 'no 7x7'),
  ],
)
def test_other_families_are_refused(arrays, words):
  with pytest.raises(UserError, match=words):
    weights.detect(arrays | zeros(fc_weight=(10, 64)))
  with pytest.raises(UserError, match='no last layer'):
    weights.detect(arrays)


@pytest.fixture
def cifar_file(tmp_path, cifar_arrays):
  path = tmp_path / 'cifar.safetensors'
  weights.write_safetensors(path, cifar_arrays)
  return path


def fails(capsys, *words):
  """The command's message."""
  assert cli.run([str(word) for word in words]) == 1
  out, err = capsys.readouterr()
  assert out == ''
  assert err.startswith('error: ')
  return err


def succeeds(capsys, *words):
  assert cli.run([str(word) for word in words]) == 0
  out, err = capsys.readouterr()
  assert err == ''
  return out


def test_commands_in_and_out(tmp_path, capsys, cifar_file, cifar_arrays):
  folder = tmp_path / 'imported'
  out = succeeds(capsys, 'import', cifar_file, folder, '--std=.2,.25,.5')
  assert 'cifar_resnet8, 10 classes' in out
  assert f'--mode=eval --checkpoint={folder}/0' in out
  found = checkpoint.read_step(folder / '0')
  mean, std = (
    found.arrays[f'state/normalization/{k}'] for k in ('mean', 'std')
  )
  np.testing.assert_allclose(mean, [123.675, 116.28, 103.53], rtol=1e-6)
  np.testing.assert_allclose(std, [51, 63.75, 127.5], rtol=1e-6)
  assert mean.dtype == std.dtype == np.float32
  model = {'name': 'cifar_resnet8', 'shortcut': 'A'}
  assert found.meta['config'] == {'model': model}
  assert found.meta['num_classes'] == 10
  assert found.meta['class_names'][6] == 'frog'
  assert found.meta['data'].startswith(
    'imported from cifar.safetensors, blake2b'
  )

  out = fails(capsys, 'import', cifar_file, folder)
  assert 'is there already' in out

  exported = tmp_path / 'out.safetensors'
  succeeds(capsys, 'export', folder / '0', exported)
  arrays = weights.read(exported)
  assert arrays.keys() == cifar_arrays.keys()
  for name, x in cifar_arrays.items():
    np.testing.assert_array_equal(arrays[name], x)
  out = succeeds(capsys, 'show', exported)
  parameters = sum(
    x.size for name, x in found.arrays.items() if '/params/' in name
  )
  words = f'cifar_resnet8, 10 classes, shortcut A, {parameters:,} parameters'
  assert words in out

  # What the file says of pixels is taken as the default.
  succeeds(capsys, 'import', exported, tmp_path / 'again')
  again = checkpoint.read_step(tmp_path / 'again' / '0')
  assert again.arrays.keys() == found.arrays.keys()
  for name, x in found.arrays.items():
    np.testing.assert_array_equal(again.arrays[name], x)


def test_a_strided_1x1_and_an_unpadded_pool_are_warned_of(tmp_path, caplog):
  model = models.create('resnet50', num_classes=2)
  images = jnp.zeros((1, 32, 32, 3))
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  series = checkpoint.Series(tmp_path, keep=None)
  config = {'name': 'resnet50', 'version': None, 'bn_group_size': 32}
  series.save(3, {'state': state}, {'config': {'model': config}})
  series.wait()
  series.close()
  file = tmp_path / 'out.safetensors'
  weights.export_checkpoint(tmp_path / '3', file)
  assert 'this is a v1 network' in caplog.text
  assert 'pools without padding' in caplog.text
  assert 'how pixels are normalized' in caplog.text


def test_commands_say_what_is_wrong(tmp_path, capsys, cifar_file):
  folder = tmp_path / 'imported'
  err = fails(capsys, 'import', cifar_file, folder, '--network=cifar_resnet20')
  assert 'as cifar_resnet20: the weights are not those of' in err
  assert '- layer1.1.bn1.bias  missing' in err
  assert len(err.splitlines()) == 14
  assert '... and 48 more' in err
  err = fails(capsys, 'import', cifar_file, folder, '--network=cifar_resnet21')
  assert 'nearest are 20 and 26' in err
  err = fails(capsys, 'import', cifar_file, folder, '--network=cifar_plain8')
  assert 'plain nets have none' in err
  err = fails(capsys, 'import', cifar_file, folder, '--version=v1')
  assert 'no bottlenecks' in err
  err = fails(capsys, 'import', cifar_file, folder, '--mean=.5,.5')
  assert 'three numbers' in err
  err = fails(capsys, 'import', cifar_file, folder, '--std=.5,0,.5')
  assert 'above 0' in err
  classes = tmp_path / 'classes.txt'
  classes.write_text('cat\ndog\n')
  err = fails(capsys, 'import', cifar_file, folder, f'--classes={classes}')
  assert '2 class names' in err and '10 classes' in err
  err = fails(capsys, 'import', cifar_file, classes)
  assert 'is a file' in err
  err = fails(capsys, 'export', tmp_path, tmp_path / 'x.safetensors')
  assert 'SERIES/STEP' in err
  assert not folder.exists()


def test_imagenet_has_its_class_names():
  found = weights.Architecture('resnet18', 1000, {})
  labels = weights.checkpoints.default_class_names(found)
  assert len(labels) == len(set(labels)) == 1000
  assert labels == sorted(labels)
  assert labels[0] == 'n01440764 tench'
  assert labels[701] == 'n03888257 parachute'
  assert labels[999] == 'n15075141 toilet tissue'


def test_neither_torch_nor_tensorflow_is_imported():
  code = (
    'import sys; import resnet_jax.weights; '
    'assert not {"torch", "tensorflow"} & sys.modules.keys()'
  )
  subprocess.run([sys.executable, '-c', code], check=True, cwd=command.ROOT)
