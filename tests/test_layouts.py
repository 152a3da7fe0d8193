"""The same run on any hosts x devices, and on others when it goes on."""

import json
import signal
import time

import numpy as np
import pytest

from resnet_jax.runs import checkpoint, history
from tests import layouts
from tests.data.streamed.pictures import write_folder
from tests.hosts.processes import Hosts

slow, long = pytest.mark.slow, pytest.mark.long

# Neither divides a test set, of 37 digits or 10 pictures.
EVAL_BATCHES = (7, 16)


@pytest.fixture(scope='module')
def words(tmp_path_factory, digits_npz):
  """The flags of each kind of data."""
  pytest.importorskip('tensorflow')
  folder = write_folder(tmp_path_factory.mktemp('data') / 'pictures')
  kinds = {
    'digits': layouts.digits(digits_npz),
    'pictures': layouts.pictures(folder),
  }
  return {
    kind: (*flags, '--config.model.dtype=float64')
    for kind, flags in kinds.items()
  }


@pytest.fixture(scope='module')
def on_one(tmp_path_factory, words):
  """The results on one device by kind; each computed once."""
  found = {}

  def compute(kind):
    if kind not in found:
      folder = tmp_path_factory.mktemp(kind)
      found[kind] = after_50_steps(folder, words[kind], 1, 1)
    return found[kind]

  return compute


def after_50_steps(folder, words, hosts, devices):
  sizes = [f'--eval_batches={size}' for size in EVAL_BATCHES]
  return layouts.results(
    folder, (*words, *sizes, '--steps=50'), hosts=hosts, devices=devices
  )


@pytest.mark.parametrize(
  ('kind', 'hosts', 'devices'),
  [
    pytest.param('digits', 1, 4, marks=long),
    pytest.param('digits', 2, 2, marks=slow),
    pytest.param('digits', 4, 1, marks=long),
    pytest.param('pictures', 1, 4, marks=long),
    pytest.param('pictures', 2, 2, marks=long),
    pytest.param('pictures', 4, 1, marks=long),
  ],
)
def test_a_run_is_the_same_on_each_layout(
  tmp_path, on_one, words, kind, hosts, devices
):
  one = on_one(kind)
  many = after_50_steps(tmp_path, words[kind], hosts, devices)
  worst = layouts.furthest(many, one)
  print(f'{kind} on {hosts}x{devices}: {worst:.1e}')
  assert worst < 1e-8
  assert one['state/step'] == 50
  np.testing.assert_array_equal(many['batches'], one['batches'])
  for size in EVAL_BATCHES:
    name = f'evaluation/{size}'
    assert one[name][0].sum() == {'digits': 37, 'pictures': 10}[kind]
    np.testing.assert_array_equal(many[name], one[name])


@pytest.mark.parametrize(
  ('kind', 'sequence'),
  [
    pytest.param('digits', ((1, 1), (2, 1)), marks=slow),
    pytest.param('digits', ((1, 1), (4, 1), (2, 1)), marks=long),
    pytest.param('digits', ((2, 2), (1, 1), (1, 4)), marks=long),
    pytest.param('pictures', ((1, 1), (4, 1), (2, 1)), marks=long),
  ],
)
def test_a_run_goes_on_with_other_hosts(tmp_path, words, kind, sequence):
  # A record of each step: the same losses are the same batches.
  flags = (
    *words[kind],
    '--config.run.log_every=1',
    '--config.run.checkpoint_every=60 minutes',
    '--config.duration=60 steps',
  )
  with Hosts((*flags, f'--workdir={tmp_path}/one')) as job:
    codes, outputs, _ = job.ended()
  assert codes == [0], outputs
  workdir = tmp_path / 'many'
  stopped = []
  for hosts, devices in sequence:
    last = (hosts, devices) == sequence[-1]
    words_of_hosts = [(*flags, f'--workdir={workdir}')] * hosts
    before = len(history.read_metrics(workdir, warn=False))
    with Hosts(*words_of_hosts, devices=devices) as job:
      while not last and (
        len(history.read_metrics(workdir, warn=False)) < before + 12
      ):
        assert all(p.poll() is None for p in job.processes), job.output(0)
        time.sleep(0.005)
      if not last:
        job.send(signal.SIGTERM, hosts - 1)
      codes, outputs, _ = job.ended()
    assert codes == [0 if last else 128 + signal.SIGTERM] * hosts, outputs
    assert 'Traceback' not in ''.join(outputs), outputs
    listed = json.loads((workdir / 'sessions.json').read_text())['sessions']
    stopped.append(listed[-1]['last_step'])
  assert [0, *stopped] == sorted({0, *stopped}) and stopped[-1] == 60
  one, many = (
    checkpoint.read_step(
      tmp_path / name / 'checkpoints' / 'latest' / '60'
    ).arrays
    for name in ('one', 'many')
  )
  worst = layouts.furthest(many, one)
  print(f'{kind}, {sequence}: {worst:.1e}')
  assert worst < 1e-8
  records = [history.read_metrics(tmp_path / n) for n in ('one', 'many')]
  for ours, theirs in zip(*records, strict=True):
    assert (ours['step'], ours['split']) == (theirs['step'], theirs['split'])
    assert ours['error'] == theirs['error']
    assert ours['loss'] == pytest.approx(theirs['loss'], rel=1e-6)
  results = json.loads((workdir / 'results.json').read_text())
  assert results['sessions'] == len(sequence) and results['steps_lost'] == 0
