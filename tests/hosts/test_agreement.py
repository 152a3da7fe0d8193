"""Several hosts, as processes on the loopback, do what one host does."""

import contextlib

import jax
import numpy as np
import pytest

from resnet_jax import start
from resnet_jax.config.file import load_config
from resnet_jax.errors import UserError
from resnet_jax.hosts import agreement
from resnet_jax.runs import checkpoint, history, lock
from tests import command
from tests.data.streamed.pictures import SMALL, write_folder
from tests.hosts.processes import Hosts

LONG = pytest.mark.long


def on_two_hosts(workdir, words_of_hosts):
  """Runs the command once a host, and returns exit codes and all output."""
  words = [[*words, f'--workdir={workdir}'] for words in words_of_hosts]
  with Hosts(*words, devices=2) as job:
    codes, outputs, _ = job.ended()
  return list(zip(codes, outputs, strict=True))


@pytest.fixture
def digits(digits_npz):
  return (*command.TINY, f'--config.dataset.npz={digits_npz}'), 30


@pytest.fixture
def pictures(tmp_path):
  pytest.importorskip('tensorflow')
  folder = write_folder(tmp_path / 'pictures')
  dense = '--config.test.views=dense'
  return (*SMALL, f'--config.dataset.folder={folder}', dense), 12


@pytest.mark.long  # tests/test_layouts.py has a shorter one
@pytest.mark.parametrize('kind', ['digits', 'pictures'])
def test_two_hosts_of_two_devices_are_one_of_four(tmp_path, request, kind):
  words, steps = request.getfixturevalue(kind)
  words = (*words, '--config.model.dtype=float64')
  command.run_well(*words, f'--workdir={tmp_path}/one', devices=4)
  for code, out in on_two_hosts(tmp_path / 'two', [words, words]):
    assert code == 0, out
  one, two = (
    checkpoint.read_step(
      tmp_path / name / 'checkpoints' / 'latest' / str(steps)
    )
    for name in ('one', 'two')
  )
  assert one.arrays.keys() == two.arrays.keys()
  for name, x in one.arrays.items():
    np.testing.assert_allclose(two.arrays[name], x, rtol=1e-6, atol=1e-9)
  errors = [
    [(r['step'], r['split'], r['error']) for r in history.read_metrics(folder)]
    for folder in (tmp_path / 'one', tmp_path / 'two')
  ]
  assert errors[0] == errors[1]


@pytest.mark.parametrize(
  ('differs', 'telling'),
  [
    pytest.param(
      'seed',
      'config.seed is 1 there and 0 on host 0',
      marks=pytest.mark.slow,
    ),
    pytest.param('data', 'the fingerprint of the data is', marks=LONG),
    pytest.param('lock', 'is in use by process', marks=LONG),
    pytest.param('no data', 'host 1 of 2', marks=LONG),
  ],
)
def test_hosts_that_differ_do_not_train(tmp_path, digits_npz, differs, telling):
  words = [*command.TINY, f'--config.dataset.npz={digits_npz}']
  other, workdir = list(words), tmp_path / 'run'
  workdir.mkdir()
  if differs == 'seed':
    other.append('--config.seed=1')
  elif differs == 'data':
    arrays = dict(np.load(digits_npz))
    arrays['train_labels'] = arrays['train_labels'][::-1]
    np.savez(tmp_path / 'other.npz', **arrays)
    other[-1] = f'--config.dataset.npz={tmp_path}/other.npz'
  elif differs == 'no data':
    other[-1] = f'--config.dataset.npz={tmp_path}/none.npz'
  with contextlib.ExitStack() as stack:
    if differs == 'lock':
      stack.enter_context(lock.hold(workdir))
    ended = on_two_hosts(workdir, [words, other])
  for code, out in ended:
    assert code == 2 and 'Traceback' not in out, out
    assert 'error: ' in out, out
  assert telling in ended[0][1], ended
  assert not (workdir / history.FILE).exists()


FACTS = {'config.seed': 0, 'source': 'abc', 'the data': 'def'}


@pytest.mark.parametrize(
  ('other', 'telling'),
  [
    ({'config.seed': 1}, 'host 1 of 2 .*config.seed is 1 there and 0 on host'),
    ({'source': None}, 'source is None there and abc on host 0'),
    ({'the data': 'd', 'source': 'a'}, 'source is a .*; the data is d'),
  ],
)
def test_the_host_and_the_fact_are_named(monkeypatch, other, telling):
  gather_from_two(monkeypatch, {'facts': as_text(FACTS | other)})
  with pytest.raises(UserError, match=telling), agreement.agreeing() as facts:
    facts |= FACTS


def test_all_hosts_end_where_one_fails(monkeypatch):
  gather_from_two(monkeypatch, {'error': 'no such data'})
  refusal = pytest.raises(UserError, match='host 1 of 2: no such data')
  with refusal, agreement.agreeing():
    pass
  told = gather_from_two(monkeypatch, {'facts': {}})
  with pytest.raises(ZeroDivisionError), agreement.agreeing():
    raise ZeroDivisionError('ours')
  assert told == [{'error': 'ours'}]


def test_hosts_that_are_alike_go_on(monkeypatch):
  gather_from_two(monkeypatch, {'facts': as_text(FACTS)})
  with agreement.agreeing() as facts:
    facts |= FACTS


def as_text(facts):
  return {name: str(value) for name, value in facts.items()}


def gather_from_two(monkeypatch, other):
  """Stands for the second host; returns what the first tells it."""
  told = []

  def gather(note):
    told.append(note)
    return [note, other]

  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(agreement, '_gather', gather)
  return told


def test_a_host_may_keep_its_data_elsewhere(digits_npz):
  config = load_config('configs/digits_resnet20.py')
  before = start.config_facts(config)
  config.dataset.npz = str(digits_npz)
  assert start.config_facts(config) == before
  config.model.bn_group_size = 7
  assert start.config_facts(config) != before
