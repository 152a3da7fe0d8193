"""The harness from its command line to its JSON, on the smallest network."""

import json

import pytest

from benchmarks import run
from benchmarks.rounds import Unavailable, Worker, facts


def maker(spec):
  """A subject that counts, for the tests of processes."""
  if spec == 'missing':
    raise ModuleNotFoundError(name='some_library')
  if spec == 'broken':
    raise ValueError('no such thing\nand more')
  return (lambda repeats: (float(repeats), 0.5)), {'spec': spec}


MAKER = 'tests.benchmarks.test_run:maker'


def test_a_subject_in_its_own_process():
  with Worker(MAKER, 'x') as worker:
    assert worker.facts == {'spec': 'x'}
    assert worker.round(10) == (20.0, 0.5)


def test_a_subject_that_cannot_be_made_says_why():
  with pytest.raises(Unavailable, match='some_library is not installed'):
    facts(MAKER, 'missing')
  with pytest.raises(Unavailable, match=r'ValueError: no such thing$'):
    facts(MAKER, 'broken')


@pytest.mark.long
def test_training_and_evaluation_of_the_smallest_network(tmp_path, capsys):
  pytest.importorskip('matplotlib')
  file, chart = tmp_path / 'speed.json', tmp_path / 'speed.png'
  words = '--networks=cifar_resnet8 --batches=8 --rounds=2 --seconds=0.05'
  run.main([*words.split(), '--peers=eager', f'--json={file}',
            f'--chart={chart}'])  # fmt: skip
  found = json.loads(file.read_text())
  assert found['packages']['jax'] and found['machine']['processor']
  assert [row['part'] for row in found['rows']] == ['train', 'eval']
  for row in found['rows']:
    ours = row['sides']['ours']
    assert len(ours['rounds']) == 2 and ours['median'] > 0
    assert 0 < row['limit']['share'] < 1
    assert ('PyTorch' in row['sides']) != ('PyTorch' in row['missing'])
  assert chart.read_bytes().startswith(b'\x89PNG')
  out = capsys.readouterr().out
  assert 'Training step, images/s' in out and 'cifar_resnet8' in out


def test_it_says_which_words_it_knows(capsys):
  for words, telling in [
    ('--only=train,speed', "'speed' is not one of train, eval, input"),
    ('--networks=resnet7', 'there is no configs/resnet7.py'),
    ('--batches=0', "'0' is no list of numbers"),
  ]:
    with pytest.raises(SystemExit):
      run.main([words])
    assert telling in ' '.join(capsys.readouterr().err.split())
