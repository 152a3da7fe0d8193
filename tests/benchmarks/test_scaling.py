"""The estimate is its arithmetic, and the measurement counts devices."""

import json
import subprocess
import sys

import pytest

from benchmarks import estimate, scaling
from benchmarks.estimate import Cluster, Model
from tests import command

# Numbers that can be followed by hand: 1 GB/s inside, 0.5 between, no hops.
CLUSTER = Cluster(
  gpus=4,
  inside=1e9,
  between=0.5e9,
  hop_inside=0.0,
  hop_between=0.0,
  cores=10,
  pictures=100,
)


def test_a_message_within_a_host_and_between_hosts():
  def seconds(gpus, hosts):
    return estimate.all_reduce(1e9, CLUSTER, gpus, hosts)

  assert seconds(1, 1) == 0
  assert seconds(4, 1) == pytest.approx(2 * 3 / 4)
  # A quarter of the bytes on each of four cards.
  assert seconds(4, 2) == pytest.approx(2 * 3 / 4 + 2 * 1 / 2 * 0.25 / 0.5)
  # One GPU a host: all bytes on one card.
  assert seconds(1, 4) == pytest.approx(2 * 3 / 4 * 1 / 0.5)


def test_many_hosts_take_a_tree_where_hops_cost_more_than_bytes():
  slow = Cluster(gpus=1, between=1e9, hop_between=1e-3)
  # A ring of 64 has 126 hops, a tree 12.
  assert estimate.all_reduce(1e3, slow, 1, 64) == pytest.approx(
    12e-3 + 2e-6, rel=1e-6
  )
  assert estimate.all_reduce(100e9, slow, 1, 64) == pytest.approx(
    126e-3 + 2 * 63 / 64 * 100, rel=1e-6
  )


def test_what_computation_does_not_cover_is_waited_for():
  # Steps of 1 s; a message of 0.3 s leaves at 0.5, one of 0.15 at the end.
  model = Model(10, 10, (0.2e9, 0.1e9), overlap=0.5)
  row = estimate.estimate(model, CLUSTER, 4)
  assert row.messages == pytest.approx(0.45)
  assert row.waited == pytest.approx(0.15)
  assert row.rate == pytest.approx(40 / 1.15)
  assert row.efficiency == pytest.approx(1 / 1.15)
  assert row.cores == pytest.approx(40 / 1.15 / 100) and not row.by_input
  # Where the first takes 0.75 s, the last one waits for it.
  model = Model(10, 10, (0.5e9, 0.1e9), overlap=0.5)
  row = estimate.estimate(model, CLUSTER, 4)
  assert row.waited == pytest.approx(0.25 + 0.15)


def test_the_input_may_be_what_limits():
  model = Model(1000, 100, (1.0,))
  row = estimate.estimate(model, CLUSTER, 8)
  assert row.by_input and row.hosts == 2
  assert row.rate == 2 * 10 * 100
  assert row.efficiency == pytest.approx(0.25)
  with pytest.raises(ValueError, match='6 GPUs are not whole hosts of 4'):
    estimate.estimate(model, CLUSTER, 6)


def test_the_estimate_is_printed_with_what_it_assumes(tmp_path, capsys):
  file = tmp_path / 'rows.json'
  words = ['--estimate', '--gpus=8,1024', '--between=1e9', f'--json={file}']
  scaling.run(words)
  out = capsys.readouterr().out
  assert '1 GB/s of the network card' in ' '.join(out.split())
  rows = json.loads(file.read_text())
  assert [row['gpus'] for row in rows] == [8, 1024]
  # 102 MB over 1 GB/s a card: 2 x 12.8 ms, of which a third of 36 is covered.
  assert 0.5 < rows[1]['efficiency'] < 0.8 < rows[0]['efficiency'] < 1


def test_messages_are_those_of_the_network():
  from benchmarks.scaling_report import message_sizes

  assert sum(message_sizes('imagenet_resnet50')) == 4 * 25_557_032
  assert len(message_sizes('cifar_resnet20')) == 1


def test_weak_scaling_keeps_the_share_and_strong_the_batch():
  def batches(devices):
    return list(scaling._batches(('weak', 'strong'), 16, devices, 6))

  assert batches(1) == [('weak', 16), ('strong', 96)]
  assert batches(4) == [('weak', 64), ('strong', 96)]
  # 96 examples are no whole shares of 5 devices.
  assert batches(5) == [('weak', 80)]


@pytest.mark.slow
def test_two_devices_are_measured(tmp_path):
  file = tmp_path / 'rows.json'
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'benchmarks.scaling',
      '--network=cifar_resnet8',
      '--precision=float32',
      '--cpu_devices=2',
      '--share=16',
      '--kinds=strong',
      '--rounds=2',
      '--seconds=0.1',
      f'--json={file}',
    ],
    cwd=command.ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  rows = json.loads(file.read_text())
  assert [(r['kind'], r['devices'], r['batch']) for r in rows] == [
    ('strong', 1, 32),
    ('strong', 2, 32),
  ]
  assert all(rate > 0 for row in rows for rate in row['rates'])
  assert 'efficiency' in done.stdout
