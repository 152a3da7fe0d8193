"""The script for the day with a GPU: its checks, its order, its resumption."""

import json
import time

import numpy as np
import pytest

from benchmarks import gpu_checks, gpu_day, gpu_items, gpu_summary, gpu_training
from benchmarks.processes import newest_step


@pytest.fixture
def day(tmp_path, digits_npz):
  return gpu_day.Day(
    out=tmp_path,
    npz=digits_npz,
    rehearse=True,
    deadline=time.monotonic() + 600,
    done={},
    tries={},
    seconds={},
    machine={
      'backend': 'cpu',
      'devices': 1,
      'device': 'cpu',
      'processor': 'some',
      'cores': 1,
      'platform': 'some',
      'python': '3',
      'commit': 'some',
      'time': 'some',
      'command': 'some',
      'packages': dict.fromkeys(gpu_summary._PACKAGES, '1'),
      'peer': {},
    },
  )


def test_errors_are_relative_and_have_tolerances(tmp_path):
  right = {
    'scores': np.zeros((2, 3)),
    'params/a': np.array([3.0, 0.0]),
    'params/b': np.array([4.0]),
    'batch_stats/a': np.array([1.0]),
  }
  wrong = right | {'params/b': np.array([4.5])}
  np.savez(tmp_path / 'right.npz', **right)
  np.savez(tmp_path / 'wrong.npz', **wrong)
  files = str(tmp_path / 'wrong.npz'), str(tmp_path / 'right.npz')
  found = gpu_checks.compare(*files, 'tensorfloat32')
  assert found['errors'] == {'scores': 0, 'step': 0.1, 'statistics': 0}
  assert not found['passed']
  assert gpu_checks.compare(*files, 'bfloat16')['passed']
  broken = right | {'scores': np.full((2, 3), np.nan)}
  np.savez(tmp_path / 'wrong.npz', **broken)
  assert not gpu_checks.compare(*files, 'bfloat16')['passed']


def test_the_order_of_training(day):
  day.rehearse = False
  names = [i.key[6:] for i in gpu_items.queue(day) if i.key[:5] == 'train']
  assert names[:4] == [
    'cifar_resnet20 seed 0',
    'cifar_plain20 seed 0',
    'cifar_resnet56 seed 0',
    'cifar_plain56 seed 0',
  ]
  assert names[7] == 'cifar_resnet20 seed 1'
  assert len(names) == 35


def test_an_item_that_fails_twice_is_left(day):
  def run(_):
    raise RuntimeError('the cable is out')

  item = gpu_items.Item('check cable', 0, run)
  gpu_day._do(day, item)
  assert not day.done
  gpu_day._do(day, item)
  assert day.done['check cable']['error'] == 'the cable is out'
  text = (day.out / 'summary.md').read_text()
  assert '- check cable: failed: the cable is out' in text


@pytest.mark.long
def test_a_run_goes_on_in_the_next_call(day, monkeypatch):
  item = next(i for i in gpu_items.queue(day) if i.key.startswith('train'))
  workdir = day.out / 'runs' / 'cifar_resnet20-seed0'
  steps = gpu_training._SHORT_STEPS['cifar_resnet20']

  def cut(process, seconds, *, save):
    """Stops the run by SIGTERM after its first record."""
    assert save
    records = workdir / 'metrics.jsonl'
    while not (records.is_file() and records.stat().st_size):
      assert process.poll() is None
      time.sleep(0.01)
    process.terminate()
    return process.wait()

  with monkeypatch.context() as patch:
    patch.setattr(gpu_training, 'wait', cut)
    gpu_day._do(day, item)
  assert item.key not in day.done
  assert 0 < newest_step(workdir) < steps
  summary = json.loads((day.out / 'summary.json').read_text())
  assert summary['running'] == {'cifar_resnet20 seed 0': newest_step(workdir)}
  gpu_day._do(day, item)
  assert day.done[item.key]['step'] == steps
  assert (
    'cifar_resnet20 seed 0 | 1,000 |' in (day.out / 'summary.md').read_text()
  )
