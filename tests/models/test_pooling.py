"""The stem's max-pooling and its gradient, against PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.models.pooling import max_pool


@pytest.mark.parametrize('steps', [1000, 4], ids=['', 'ties'])
@pytest.mark.parametrize('side', [2, 3, 8, 11])
@pytest.mark.parametrize('padded', [False, True])
def test_equals_pytorch(padded, side, steps):
  torch = pytest.importorskip('torch')
  rng = np.random.default_rng(0)
  x = rng.integers(-steps, steps, (2, side, side + 1, 3)).astype(np.float64)
  # Where PyTorch rounds the size up, its windows see nothing beyond the map.
  sides = tuple((1, 1) if padded else (0, 1 - n % 2) for n in x.shape[1:3])
  ours, pull = jax.vjp(lambda x: max_pool(x, sides), jnp.asarray(x))
  dy = rng.standard_normal(ours.shape)
  theirs_x = torch.from_numpy(x.transpose(0, 3, 1, 2)).requires_grad_()
  theirs = torch.nn.functional.max_pool2d(
    theirs_x, 3, 2, padding=int(padded), ceil_mode=not padded
  )
  theirs.backward(torch.from_numpy(dy.transpose(0, 3, 1, 2)))
  np.testing.assert_array_equal(
    ours, theirs.detach().numpy().transpose(0, 2, 3, 1)
  )
  (dx,) = pull(jnp.asarray(dy, ours.dtype))
  np.testing.assert_allclose(
    dx, theirs_x.grad.numpy().transpose(0, 2, 3, 1), atol=1e-6
  )


def test_bfloat16_stays_bfloat16():
  x = jnp.arange(2 * 6 * 6, dtype=jnp.bfloat16).reshape(1, 6, 6, 2)
  y, pull = jax.vjp(lambda x: max_pool(x, ((0, 1), (0, 1))), x)
  (dx,) = pull(jnp.ones_like(y))
  assert y.dtype == dx.dtype == jnp.bfloat16
  assert dx.sum() == y.size
