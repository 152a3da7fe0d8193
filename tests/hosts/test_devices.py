"""GPUs are divided among processes, and none stays idle without a word."""

import types

import jax
import pytest

from resnet_jax.errors import UserError
from resnet_jax.hosts import devices


def hosts(*names_and_gpus):
  return [{'name': name, 'gpus': gpus} for name, gpus in names_and_gpus]


EIGHT = [str(i) for i in range(8)]


@pytest.mark.parametrize(
  ('job', 'shares'),
  [
    (hosts(('a', EIGHT), ('b', EIGHT)), [None, None]),
    (hosts(*[('a', EIGHT)] * 8), [[i] for i in range(8)]),
    (
      hosts(*[('a', EIGHT)] * 2, *[('b', EIGHT)] * 2),
      [[0, 1, 2, 3], [4, 5, 6, 7]] * 2,
    ),
    # The cluster has divided them itself.
    (hosts(('a', ['0']), ('a', ['1'])), [None, None]),
    (hosts(('a', []), ('a', [])), [None, None]),
  ],
)
def test_shares(job, shares):
  assert [devices.share(job, i) for i in range(len(job))] == shares
  expected = sum(devices.expected(job, i) for i in range(len(job)))
  machines = {(host['name'], tuple(host['gpus'])) for host in job}
  assert expected == sum(len(gpus) for _, gpus in machines)


def test_gpus_that_cannot_be_divided():
  with pytest.raises(UserError, match=r'3 hosts .* are on a, whose 8 GPUs'):
    devices.share(hosts(*[('a', EIGHT)] * 3), 0)


@pytest.mark.parametrize(
  ('visible', 'gpus'),
  [
    ('0,1', ['0', '1']),
    ('', []),
    ('-1', []),
    ('GPU-a, GPU-b', ['GPU-a', 'GPU-b']),
  ],
)
def test_visible_devices(monkeypatch, visible, gpus):
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
  assert devices.allotted() == gpus


@pytest.mark.parametrize(
  ('platform', 'found', 'gpus', 'telling'),
  [
    ('gpu', [8, 8], [8, 8], None),
    ('gpu', [1, 1], [8, 8], '2 hosts x 8 GPUs expected, 2 x 1 found'),
    ('gpu', [1], [8], '1 host x 8 GPUs expected, 1 x 1 found'),
    ('gpu', [8, 4], [8, 8], r'2 hosts x 8 GPUs expected, 8 \+ 4 found'),
    ('gpu', [8], [0], None),  # of another maker
    ('cpu', [1, 1], [8, 8], '2 hosts x 8 GPUs expected, none found'),
    ('cpu', [1, 1], [0, 0], None),
    ('cpu', [2, 1], [0, 0], r'hosts have \[2, 1\] devices'),
  ],
)
def test_found_and_expected(monkeypatch, platform, found, gpus, telling):
  """Stands for devices that this machine does not have."""
  all_devices = [
    types.SimpleNamespace(process_index=host, platform=platform)
    for host, count in enumerate(found)
    for _ in range(count)
  ]
  monkeypatch.setattr(jax, 'devices', lambda: all_devices)
  monkeypatch.setattr(jax, 'process_count', lambda: len(found))
  before = jax.config.jax_platforms
  jax.config.update('jax_platforms', None)
  try:
    if telling is None:
      devices.check(gpus)
    else:
      with pytest.raises(UserError, match=telling):
        devices.check(gpus)
  finally:
    jax.config.update('jax_platforms', before)
  if platform == 'cpu' and any(gpus):
    jax.config.update('jax_platforms', 'cpu')
    try:
      devices.check(gpus)  # it was asked for
    finally:
      jax.config.update('jax_platforms', before)


def test_a_gpu_of_a_machine_of_ones_own_may_stay_idle(caplog, monkeypatch):
  one = [types.SimpleNamespace(process_index=0, platform='cpu')]
  monkeypatch.setattr(jax, 'devices', lambda: one)
  monkeypatch.setattr(devices, '_asked_for_cpu', lambda: False)
  devices.check([1])
  assert '1 host x 1 GPUs expected, none found' in caplog.text
