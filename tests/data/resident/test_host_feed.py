"""Images that stay on the host make the batches of those on the devices."""

import jax
import numpy as np
import pytest

from resnet_jax.config.file import load_config
from resnet_jax.data.load import load
from resnet_jax.data.resident import data
from resnet_jax.errors import UserError

BATCH = 16


def feed(digits_npz, *, on_host):
  config = load_config('digits_resnet20')
  config.update_from_flattened_dict(
    {
      'dataset.npz': str(digits_npz),
      'batch_size': BATCH,
      'augment.pad': 2,
      'augment.flip': True,
      'run.data_on_host': on_host,
    }
  )
  digits = load(config.dataset)
  return digits.feed(config), digits.normalization(config)


def batch(one, normalization, step):
  make = jax.pmap(
    lambda common, share: one.make_batch(
      np.int32(step), common, share, normalization
    ),
    in_axes=(None, 0),
  )
  return jax.device_get(make(*one.at(step)))


# The tenth batch of 150 examples ends the first epoch and opens the second.
@pytest.mark.parametrize('step', [0, 9, 100])
def test_batches_are_equal_bit_by_bit(digits_npz, step):
  on_device, normalization = feed(digits_npz, on_host=False)
  on_host, _ = feed(digits_npz, on_host=True)
  assert isinstance(on_host, data.HostFeed)
  for ours, theirs in zip(
    batch(on_host, normalization, step),
    batch(on_device, normalization, step),
    strict=True,
  ):
    np.testing.assert_array_equal(ours, theirs)


def test_hosts_share_a_batch_in_order(digits_npz, monkeypatch):
  one, _ = feed(digits_npz, on_host=True)
  whole = np.ravel(one.at(9)[1].ids)
  monkeypatch.setattr(data.jax, 'process_count', lambda: 2)
  shares = []
  for host in (0, 1):
    monkeypatch.setattr(data.jax, 'process_index', lambda host=host: host)
    shares.append(np.ravel(one.at(9)[1].ids))
  assert [len(share) for share in shares] == [BATCH // 2] * 2
  np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_what_does_not_fit_on_a_device_is_refused_with_the_mend(monkeypatch):
  class Device:
    @staticmethod
    def memory_stats():
      return {'bytes_limit': 60 * 10**9, 'bytes_in_use': 10**9}

  monkeypatch.setattr(data.jax, 'local_devices', lambda: [Device])
  data.check_fits('squares', 59 * 10**9)
  with pytest.raises(UserError) as caught:
    data.check_fits('squares', 70 * 10**9)
  text = str(caught.value)
  assert 'squares take 70.0 GB on each device, and 59.0 GB are free' in text
  assert '--config.run.data_on_host=True' in text
