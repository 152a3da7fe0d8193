"""Training from arrays needs neither TensorFlow nor TFDS."""

import sys

import pytest

from resnet_jax.config.file import load_config
from resnet_jax.data.resident.sources import load_images
from resnet_jax.errors import UserError
from tests import command


def test_it_trains_where_they_cannot_be_imported(tmp_path, digits_npz):
  broken = tmp_path / 'broken'
  broken.mkdir()
  for name in ('tensorflow', 'tensorflow_datasets', 'tensorboard'):
    (broken / f'{name}.py').write_text('raise ImportError("not here")')
  words = (*command.TINY, '--config.run.tensorboard=True')
  environment = {'PYTHONPATH': str(broken)}
  out = command.run_well(
    *words,
    f'--config.dataset.npz={digits_npz}',
    f'--workdir={tmp_path}/run',
    environment=environment,
  )
  # Asked for TensorBoard events, it says that there are none, and goes on.
  assert 'warning: no TensorBoard events: not here' in out
  assert 'test error' in out


def test_a_tfds_set_says_what_to_do(monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
  with pytest.raises(UserError) as info:
    load_images(load_config('cifar_resnet20').dataset)
  assert 'Install requirements.txt' in str(info.value)
  assert '--config.dataset.npz=FILE.npz' in str(info.value)
