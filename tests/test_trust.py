"""No file that is data runs code, whoever made it."""

import json
import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from configs import cifar_resnet20, common
from resnet_jax import eval_only, weights
from resnet_jax.config.file import to_json
from resnet_jax.data import tfds_sets
from resnet_jax.data.resident import sources
from resnet_jax.data.streamed import data as streamed
from resnet_jax.errors import UserError
from resnet_jax.runs import checkpoint, restore

FOREIGN = 'attack_module.Feature'
OWN = 'tensorflow_datasets.core.features.image_feature.Image'


class Bomb:
  """Makes a folder when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


@pytest.fixture
def attack(tmp_path, monkeypatch):
  """A module in the current folder that leaves a trace when it is imported."""
  trace = tmp_path / 'trace'
  module = tmp_path / 'attack_module.py'
  module.write_text(f'open({str(trace)!r}, "w").close()\n')
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  yield trace
  assert not trace.exists(), 'a file of data has run code'


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  """The folder of a TFDS set, in TFDS's own form."""
  pytest.importorskip('tensorflow_datasets')
  root = tmp_path_factory.mktemp('tfds')
  tfds_sets.prepare('digits', str(root))
  (folder,) = root.glob('digits/*')
  return folder


def with_class(prepared, root, name, form):
  """The set in `root` with its image's class replaced by `name`."""
  folder = root / 'innocent' / prepared.name
  shutil.copytree(prepared, folder)
  for file in folder.glob('digits-*'):  # a set's name begins its files'
    file.rename(file.with_name(file.name.replace('digits', 'innocent')))
  info = folder / 'dataset_info.json'
  content = json.loads(info.read_text())
  info.write_text(json.dumps(content | {'name': 'innocent'}))
  features = folder / 'features.json'
  if form == 'now':
    text = features.read_text()
    assert OWN in text
    features.write_text(text.replace(OWN, name))
  else:  # before TFDS 4.5
    features.write_text(json.dumps({'type': name, 'content': {}}))


def checkpoint_of(config, folder):
  """A checkpoint, as of a run of `config`."""
  series = checkpoint.Series(folder / 'checkpoints' / 'latest', keep=None)
  meta = {
    'config': to_json(config),
    'num_classes': 10,
    'class_names': list('0123456789'),
    'data': '',
  }
  series.save(3, {'state': {'params': {'x': np.zeros(1)}}}, meta)
  series.wait()
  series.close()
  return folder / 'checkpoints' / 'latest' / '3'


@pytest.mark.parametrize('form', ['now', 'before'])
@pytest.mark.parametrize(
  'name',
  [
    FOREIGN,
    'tensorflow_datasets.scripts.cli.X',
    'tensorflow_datasets.core.features.audio_feature.Audio',
  ],
)
def test_features_of_a_set_name_only_classes_of_tfds(
  attack, prepared, tmp_path, form, name
):
  with_class(prepared, tmp_path, name, form)
  with pytest.raises(UserError, match='none of TFDS for pictures'):
    tfds_sets.prepare('innocent', str(tmp_path))


def test_a_set_whose_code_is_elsewhere_is_read_by_its_files(prepared, tmp_path):
  with_class(prepared, tmp_path, OWN, 'now')
  images = sources.from_tfds('innocent', str(tmp_path))
  assert len(images.train) == 1500


@pytest.mark.parametrize('name', ['riegeli', 'array_record', 'parquet'])
def test_formats_that_import_packages_are_refused(
  attack, prepared, tmp_path, name
):
  with_class(prepared, tmp_path, OWN, 'now')
  (info,) = tmp_path.glob('innocent/*/dataset_info.json')
  content = json.loads(info.read_text())
  info.write_text(json.dumps(content | {'fileFormat': name}))
  module = tmp_path / 'attack_module.py'
  module.rename(tmp_path / f'{name}.py')
  with pytest.raises(UserError, match='only TFRecords'):
    sources.from_tfds('innocent', str(tmp_path))


def test_a_damaged_set_is_refused(prepared, tmp_path):
  with_class(prepared, tmp_path, OWN, 'now')
  (info,) = tmp_path.glob('innocent/*/dataset_info.json')
  info.write_text('{')
  with pytest.raises(UserError, match="'innocent' cannot be opened in"):
    tfds_sets.prepare('innocent', str(tmp_path))


def test_a_run_folder_decides_on_no_set_of_tfds(attack, prepared, tmp_path):
  with_class(prepared, tmp_path, FOREIGN, 'now')
  config = common.get_config()
  config.dataset.name = 'innocent'
  config.dataset.data_dir = str(tmp_path)
  checkpoint_of(config, tmp_path)
  with pytest.raises(UserError, match='add --trust_data; or name data of'):
    eval_only.evaluate_saved(None, workdir=tmp_path)
  with pytest.raises(UserError, match='none of TFDS'):
    eval_only.evaluate_saved(None, workdir=tmp_path, trust_data=True)


@pytest.mark.parametrize(
  ('fields', 'refused'),
  [
    ({}, False),
    ({'name': 'digits'}, False),
    ({'name': 'mnist'}, True),
    ({'name': 'huggingface:mnist'}, True),
    ({'data_dir': '/elsewhere'}, True),
    ({'npz': 'x.npz'}, False),
    ({'folder': 'x', 'crop_size': 224, 'name': ''}, False),
  ],
)
def test_data_that_a_checkpoint_may_name(fields, refused):
  config = cifar_resnet20.get_config()
  config.dataset.update(fields)
  path = pathlib.Path('series/3')
  found = checkpoint.Found(3, path, {}, {'config': to_json(config)})
  assert to_json(restore.read_config(found, trust_data=True)) == (
    to_json(config)
  )
  if refused:
    with pytest.raises(UserError, match='add --trust_data'):
      restore.read_config(found)
  else:
    assert to_json(restore.read_config(found)) == to_json(config)


@pytest.mark.parametrize(
  'fields', [{'npz': 'x.npz', 'crop_size': 224}, {'folder': 'x'}]
)
def test_a_file_beside_a_set_does_not_let_the_set_through(fields):
  """Small images are read from npz, and pictures from a folder."""
  config = cifar_resnet20.get_config()
  config.dataset.update(fields | {'name': 'innocent', 'data_dir': '/x'})
  path = pathlib.Path('series/3')
  found = checkpoint.Found(3, path, {}, {'config': to_json(config)})
  read = restore.read_config(found).dataset
  assert (read.name, read.data_dir) == ('', '')


def test_names_in_the_files_of_a_checkpoint_are_not_imported(attack, tmp_path):
  path = checkpoint_of(common.get_config(), tmp_path)
  arrays = checkpoint.read_step(path).arrays
  for file in path.rglob('*'):
    if file.is_file() and file.name in ('_METADATA', '_CHECKPOINT_METADATA'):
      text = file.read_text()
      for known in (
        'np.ndarray',
        'orbax.checkpoint._src.handlers.standard_checkpoint_handler.'
        'StandardCheckpointHandler',
        'orbax.checkpoint._src.handlers.json_checkpoint_handler.'
        'JsonCheckpointHandler',
      ):
        text = text.replace(known, FOREIGN)
      assert FOREIGN in text
      file.write_text(text)
  try:
    found = checkpoint.read_step(path)
    assert found.arrays.keys() == arrays.keys()
  except UserError as e:
    assert 'damaged' in str(e)


@pytest.mark.parametrize('kind', ['data', 'mean', 'weights', 'raw'])
def test_pickles_in_arrays_are_not_run(tmp_path, kind):
  trace, path = tmp_path / 'trace', tmp_path / 'bomb.npz'
  bomb = np.array([Bomb(trace)], object)
  if kind == 'data':
    np.savez(path, **dict.fromkeys(sources._NPZ_KEYS, bomb))
    read = sources.from_npz
  elif kind == 'mean':
    np.savez(path, mean=bomb, made_of=bomb)
    read = read_mean
  else:
    np.savez(path, x=bomb)
    read = weights.read
  if kind == 'raw':  # np.load unpickles what has no header of its own
    path.write_bytes(pickle.dumps(Bomb(trace)))
  with pytest.raises(UserError):
    read(str(path))
  assert not trace.exists()


@pytest.mark.parametrize('form', ['dict', 'bare'])
@pytest.mark.parametrize('suffix', ['.pth', '.pt', '.th'])
def test_pickles_of_pytorch_are_not_run(tmp_path, form, suffix, monkeypatch):
  torch = pytest.importorskip('torch')
  monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
  trace, path = tmp_path / 'trace', tmp_path / f'bomb{suffix}'
  if form == 'bare':
    path.write_bytes(pickle.dumps(Bomb(trace)))
  else:
    torch.save({'state_dict': Bomb(trace)}, path)
  with pytest.raises(UserError):
    weights.read(path)
  assert not trace.exists()


def test_a_pytorch_that_pickles_get_past_is_not_used(tmp_path, monkeypatch):
  torch = pytest.importorskip('torch')
  path = tmp_path / 'weights.pth'
  torch.save({'x': torch.zeros(1)}, path)
  assert weights.read(path)
  monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
  with pytest.raises(UserError, match=r'can be made to run code'):
    weights.read(path)


def read_mean(path):
  """Reads `path` as the mean image of a set of pictures."""
  return streamed._read_mean(pathlib.Path(path), (224, 224, 3), '')
