"""The command line of the paper: what it refuses, and what it says of it."""

import os
import subprocess
import sys

import pytest

from resnet_jax.paper import __main__
from resnet_jax.paper.runs import Member, Scale, expand
from tests import command
from tests.paper.recorded import write_record


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['run', 'table7'], "did you mean 'table6'"),
    (['show', 'degredation'], "did you mean 'degradation'"),
    (['run', 'degradation', '--dataset=cifar10'], 'of the digits'),
    (['show', 'table1', '--steps=3'], 'nothing of it to narrow'),
    (['show', 'table6', '--runs={file}'], 'is not a folder'),
    (['run', 'table6', '--depths=18'], '20, 32, 44, 56, 110, 1202'),
    (['run', 'table6', '--dataset=no/such.npz'], 'is not there'),
    (['run', 'table6', '--dataset={file}'], 'is not such'),
    (['run', 'table6', '--dataset={folder}'], 'want images of one size'),
    (['run', 'table2', '--dataset={npz}'], 'want pictures'),
    (['run', 'table2', '--dataset=digits'], 'too small for plain18'),
    (['responses', 'no/such/1'], 'no checkpoint'),
    (['responses', 'a/1', 'b/1', '--output=x'], 'for one checkpoint'),
    (['run', 'degradation', '--runs={file}'], 'cannot be written'),
    (['report', '--output={file}/x', '--runs={folder}'], 'cannot be written'),
  ],
)
def test_what_means_nothing_is_refused(tmp_path, capsys, words, message):
  file, npz = tmp_path / 'file', tmp_path / 'images.npz'
  file.write_text('')
  npz.write_text('')
  words = [word.format(file=file, npz=npz, folder=tmp_path) for word in words]
  with pytest.raises(SystemExit) as end:
    __main__.run(words)
  assert end.value.code == 2
  error = capsys.readouterr().err
  assert error.startswith('error: ') and message in error


@pytest.mark.parametrize(
  'words',
  [['run'], ['run', 'table6', '--seeds=0'], ['show', 'x', '--depths=a']],
)
def test_usage_is_explained(capsys, words):
  with pytest.raises(SystemExit):
    __main__.run(words)
  assert 'usage' in capsys.readouterr().err


def test_devices_are_chosen_before_logging_wakes_them(tmp_path):
  """A process that waits for its runs must not take the GPU from them."""
  code = (
    'import jax; from resnet_jax.paper import __main__; '
    '__main__.start_logging = lambda: print(jax.config.jax_platforms, '
    'jax.device_count()); __main__.run()'
  )

  def chosen(*words, **variables):
    platforms = {k: v for k, v in os.environ.items() if k != 'JAX_PLATFORMS'}
    result = subprocess.run(
      [sys.executable, '-c', code, *words, f'--runs={tmp_path}'],
      cwd=command.ROOT,
      env=platforms | variables,
      capture_output=True,
      text=True,
      check=True,
    )
    return result.stdout.splitlines()[0].split()

  assert chosen('list')[0] == 'cpu'
  dry = 'run', 'fig3', '--dry_run', '--cpu_devices=2'
  assert chosen(*dry, JAX_PLATFORMS='cpu') == ['cpu', '2']


def test_what_is_done_is_listed(tmp_path, capsys):
  for run in expand(Member('cifar_plain20'), Scale()):
    write_record(tmp_path, run, error=0.1)
  __main__.run(['list', f'--runs={tmp_path}'])
  lines = capsys.readouterr().out.splitlines()
  (i,) = (i for i, line in enumerate(lines) if line.startswith('fig1 '))
  assert lines[i + 1].strip() == '2 runs, 128,000 steps in all; 1 done'


def test_a_plan_asks_only_for_what_is_missing(tmp_path, capsys):
  for member in (Member('cifar_plain20'), Member('cifar_plain56')):
    (run,) = expand(member, Scale())
    write_record(tmp_path, run, error=0.1)
  __main__.run(['run', 'fig1', '--dry_run', f'--runs={tmp_path}'])
  assert 'all 2 runs of fig1 are done' in capsys.readouterr().out
  __main__.run(['run', 'fig3', '--dry_run', f'--runs={tmp_path}'])
  assert 'nothing to run' in capsys.readouterr().out
