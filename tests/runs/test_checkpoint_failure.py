"""What a save that fails says, and whether another start may mend it."""

import errno

import jax
import numpy as np
import pytest

from resnet_jax.errors import PassingError, UserError
from resnet_jax.runs import checkpoint

META = {'config': {}, 'num_classes': 1, 'class_names': ['a'], 'data': ''}


@pytest.fixture
def series(tmp_path):
  one = checkpoint.Series(tmp_path / 'latest', keep=2)
  yield one
  one.close()


def save_with(series, error, monkeypatch):
  def fail(self, *_, **__):
    raise error

  monkeypatch.setattr(checkpoint.ocp.CheckpointManager, 'save', fail)
  series.save(1, {'x': np.ones(3, np.float32)}, META)


@pytest.mark.parametrize(
  ('error', 'kind', 'reason'),
  [
    # As TensorStore words them, which raises no OSError.
    (
      ValueError("Error writing x: Input/output error [os_error_code='5']"),
      PassingError,
      'Input/output error',
    ),
    (
      ValueError("x: No space left on device [os_error_code='28' source='a']"),
      UserError,
      'No space left on device',
    ),
    (OSError(errno.ESTALE, 'Stale file handle'), PassingError, 'Stale file'),
    (OSError(errno.EROFS, 'Read-only file system'), UserError, 'Read-only'),
    (ValueError('something else'), UserError, 'something else'),
  ],
)
def test_a_failing_disk(series, monkeypatch, error, kind, reason):
  with pytest.raises(UserError, match=f'latest: {reason}') as end:
    save_with(series, error, monkeypatch)
  assert type(end.value) is kind
  assert 'os_error_code' not in str(end.value)


def test_a_lost_host_is_no_matter_of_the_disk(series, monkeypatch):
  error = jax.errors.JaxRuntimeError('UNAVAILABLE: Connection refused')
  with pytest.raises(jax.errors.JaxRuntimeError):
    save_with(series, error, monkeypatch)
