"""What the digits_*.py have in common: small real images, and no network.

The paper's recipe, but for what 1,500 grey images of 8x8 call for: a shorter
run, crops by one pixel, and no mirroring, which would make a 2 of a 5.
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.duration = '500 steps'
  config.dataset.name = 'digits'
  config.augment.pad = 1
  config.augment.flip = False
  config.bn_recompute_batches = 20
  config.run.log_every = 20
  config.run.eval_every = '100 steps'
  return config
