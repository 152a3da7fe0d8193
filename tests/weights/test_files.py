"""Files of weights: every kind that is read, and what is refused."""

import os
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import weights
from resnet_jax.errors import UserError

torch = pytest.importorskip('torch')


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
