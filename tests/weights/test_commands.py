"""The commands that take weights in and out, and the checkpoints they write."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import models, weights
from resnet_jax.runs import checkpoint, restore
from resnet_jax.weights import __main__ as cli
from resnet_jax.weights import labels as class_labels
from tests import command


@pytest.fixture
def cifar_file(tmp_path, cifar_arrays):
  path = tmp_path / 'cifar.safetensors'
  weights.write_safetensors(path, cifar_arrays)
  return path


def fails(capsys, *words):
  """The command's message."""
  with pytest.raises(SystemExit) as end:
    cli.run([str(word) for word in words])
  assert end.value.code == 2
  out, err = capsys.readouterr()
  assert out == ''
  assert err.startswith('error: ')
  return err


def succeeds(capsys, *words):
  cli.run([str(word) for word in words])
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

  # The metadata of the file are the default for the pixels.
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
  labels = class_labels.default(found)
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


def class_names(folder):
  return checkpoint.read_step(folder / '0').meta['class_names']


@pytest.mark.parametrize(
  'content',
  [
    b'\xef\xbb\xbf' + b'a\nb\nc d\ne\nf\ng\nh\ni\nj\nk\n',
    b'a\r\nb\r\nc d\r\ne\r\nf\r\ng\r\nh\r\ni\r\nj\r\nk\r\n\r\n',
    b' a\nb\nc d \ne\nf\ng\nh\ni\nj\nk',
  ],
)
def test_files_of_class_names(tmp_path, capsys, cifar_file, content):
  classes = tmp_path / 'classes.txt'
  classes.write_bytes(content)
  folder = tmp_path / 'x'
  succeeds(capsys, 'import', cifar_file, folder, f'--classes={classes}')
  assert class_names(folder) == ['a', 'b', 'c d', *'efghijk']


def test_class_names_that_are_blank_or_twice(tmp_path, capsys, cifar_file):
  classes, folder = tmp_path / 'classes.txt', tmp_path / 'x'
  words = ('import', cifar_file, folder, f'--classes={classes}')
  classes.write_text('a\n\nc\nd\ne\nf\ng\nh\ni\nj\n')
  assert 'the name of class 1 is blank' in fails(capsys, *words)
  classes.write_bytes('a\nb\n'.encode('utf-16'))
  assert 'a text file in UTF-8' in fails(capsys, *words)
  # ImageNet's usual list has two cranes.
  classes.write_text('a\nb\nc\nd\ncrane\nf\ng\nh\ni\ncrane\n', 'utf-8')
  out = succeeds(capsys, *words)
  assert "warning: classes 4 and 9 are both named 'crane'" in out
  # A name between separators that only Python takes for ends of lines.
  classes.write_text('\x0ba\u2028b\n' + 'x\n' * 9, 'utf-8')
  succeeds(capsys, 'import', cifar_file, tmp_path / 'y', words[-1])
  assert class_names(tmp_path / 'y')[0] == 'a\u2028b'


@pytest.mark.parametrize(
  ('flag', 'telling'),
  [
    ('--mean=123.675,116.28,103.53', 'give --mean=0.485,0.456,0.406'),
    ('--std=58.395,57.12,57.375', 'give --std=0.229,0.224,0.225'),
    ('--mean=-1,0,0', 'between 0 and 1\n'),
    ('--mean=nan,0,0', 'between 0 and 1\n'),
    ('--mean=0.5,0.5,2', 'not on the scale of pixels from 0 to 1'),
  ],
)
def test_the_scale_of_pixels(tmp_path, capsys, cifar_file, flag, telling):
  err = fails(capsys, 'import', cifar_file, tmp_path / 'x', flag)
  assert telling in err


def test_smoothing_is_kept(tmp_path, capsys, cifar_file):
  """From the import through the checkpoint and the export, and back."""
  first, file, second = (tmp_path / n for n in ('a', 'b.safetensors', 'c'))
  succeeds(capsys, 'import', cifar_file, first)
  assert restore.antialias(checkpoint.read_step(first / '0'))
  succeeds(capsys, 'import', cifar_file, second, '--no_antialias')
  assert not restore.antialias(checkpoint.read_step(second / '0'))
  succeeds(capsys, 'export', second / '0', file)
  assert not restore.antialias(weights.read_checkpoint(file))


def test_what_to_evaluate_an_import_with(tmp_path):
  line = cli._next(tmp_path / '0', 'resnet50', True)
  assert '--config=configs/imagenet_resnet50.py' in line
  assert '--config.dataset.antialias=True' in line
  assert 'cifar_resnet20.py' in cli._next(tmp_path, 'cifar_resnet56', True)


def test_metadata_of_another_program(tmp_path, cifar_arrays):
  """Its mean may be of another scale."""
  path = tmp_path / 'x.safetensors'
  noted = {'mean': '[0.485, 0.456, 0.406]', 'std': '[0.229, 0.224, 0.225]'}
  weights.write_safetensors(path, cifar_arrays, noted)
  mean = weights.load(path).normalization.mean
  np.testing.assert_allclose(mean, [123.675, 116.28, 103.53])
