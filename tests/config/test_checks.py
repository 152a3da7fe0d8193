"""Numbers too large for the devices are refused, and not cut."""

import pytest

from resnet_jax.config import checks
from resnet_jax.config.file import load_config
from resnet_jax.errors import UserError


@pytest.mark.parametrize('seed', [2**31, 2**32, 2**32 + 1, 2**63, 10**400])
def test_seeds_that_would_be_cut(seed):
  config = load_config('digits_resnet20')
  config.seed = seed
  checks.check(config)  # a run of before may have it, and be tested
  with pytest.raises(UserError, match=r'config.seed is .* at most 2147483647'):
    checks.check_seed(config)


@pytest.mark.parametrize('seed', [0, 1, 2**31 - 1])
def test_seeds_that_are_whole(seed):
  config = load_config('digits_resnet20')
  config.seed = seed
  checks.check(config)
  checks.check_seed(config)


@pytest.mark.parametrize(
  'field',
  ['augment.pad', 'schedule.warmup_window', 'run.eval_batch_size'],
)
def test_whole_numbers_beyond_32_bits(field):
  config = load_config('digits_resnet20')
  config.update_from_flattened_dict({field: 2**31})
  with pytest.raises(UserError, match=f'config.{field} is 2147483648'):
    checks.check(config)
