"""Paths of flags and fields: ~ is the user's home, and URLs are refused."""

import os
import pathlib

import pytest

from resnet_jax import paths
from resnet_jax.config import checks
from resnet_jax.config.file import load_config
from resnet_jax.errors import UserError
from tests import command

HOME = pathlib.Path(os.path.expanduser('~'))


@pytest.mark.parametrize(
  ('text', 'path'),
  [
    ('~/x', HOME / 'x'),
    ('~', HOME),
    ('runs/x', pathlib.Path('runs/x')),
    ('a~/x', pathlib.Path('a~/x')),
    ('C:x', pathlib.Path('C:x')),
  ],
)
def test_local_paths(text, path):
  assert paths.local_path(text, '--workdir') == path


@pytest.mark.parametrize(
  ('text', 'telling'),
  [
    ('gs://bucket/x', 'gs://'),
    ('gs:/bucket/x', 'gs://'),
    ('s3://bucket', 's3://'),
    ('file:///x', 'file://'),
    ('https://host/x', 'https://'),
    ('~nobody-of-this-name/x', 'no such home'),
  ],
)
def test_what_is_no_path_of_this_computer(text, telling):
  with pytest.raises(UserError, match=f'--workdir={text}.*{telling}'):
    paths.local_path(text, '--workdir')


@pytest.mark.parametrize(
  'field',
  [
    'dataset.data_dir',
    'dataset.npz',
    'dataset.folder',
    'dataset.mean_file',
    'finetune.checkpoint',
  ],
)
def test_fields_refuse_urls(field):
  config = load_config('digits_resnet20')
  config.update_from_flattened_dict({field: 'gs://bucket/x'})
  with pytest.raises(UserError, match=f'config.{field}=gs://bucket/x'):
    checks.check(config)


@pytest.mark.parametrize(
  ('module', 'arguments'),
  [
    ('main', ['--config=digits_resnet20', '--workdir={}']),
    ('main', ['--mode=eval', '--checkpoint={}']),
    ('main', ['--mode=eval', '--workdir=.', '--per_class={}']),
    ('main', ['--mode=eval', '--workdir=.', '--results={}']),
    ('paper.__main__', ['list', '--runs={}']),
    ('paper.__main__', ['show', 'table6', '--dataset={}']),
    ('paper.__main__', ['report', '--output={}']),
    ('paper.__main__', ['responses', '{}']),
    ('paper.__main__', ['responses', 'x', '--figure={}']),
    ('predict', ['--checkpoint={}', 'cat.jpg']),
    ('predict', ['--checkpoint=x', '--output={}', 'cat.jpg']),
    ('predict', ['--checkpoint=x', '{}']),
    ('weights.__main__', ['show', '{}']),
    ('weights.__main__', ['import', 'x', '{}']),
    ('weights.__main__', ['export', 'x', '{}']),
  ],
)
def test_every_command_refuses_urls(module, arguments):
  words = [word.format('gs://bucket/x') for word in arguments]
  result = command.run_fork(f'resnet_jax.{module}', words)
  assert result.returncode == 2, result.stdout + result.stderr
  assert 'gs://bucket/x is a URL' in result.stderr
  assert len(result.stderr.strip().splitlines()) == 1
  assert not (command.ROOT / 'gs:').exists()
