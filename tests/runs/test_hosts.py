"""Several hosts, as processes on the loopback, do what one host does."""

import socket

import numpy as np
import pytest

from resnet_jax.runs import checkpoint, history
from tests import command
from tests.data.streamed.pictures import SMALL, write_folder


def free_port():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


@pytest.fixture
def digits(digits_npz):
  return (*command.TINY, f'--config.dataset.npz={digits_npz}'), 30


@pytest.fixture
def pictures(tmp_path):
  pytest.importorskip('tensorflow')
  folder = write_folder(tmp_path / 'pictures')
  dense = '--config.test.views=dense'
  return (*SMALL, f'--config.dataset.folder={folder}', dense), 12


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['digits', 'pictures'])
def test_two_hosts_of_two_devices_are_one_of_four(tmp_path, request, kind):
  words, steps = request.getfixturevalue(kind)
  words = (*words, '--config.model.dtype=float64')
  command.run_well(*words, f'--workdir={tmp_path}/one', devices=4)
  coordinator = f'--coordinator=127.0.0.1:{free_port()}'
  hosts = [
    command.start(
      *words,
      f'--workdir={tmp_path}/two',
      coordinator,
      '--num_hosts=2',
      f'--host={i}',
      devices=2,
    )
    for i in range(2)
  ]
  try:
    for host in hosts:
      out, err = host.communicate(timeout=300)
      assert host.returncode == 0, out + err
  finally:  # of two that wait for each other
    for host in hosts:
      host.kill()
      host.communicate()
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
