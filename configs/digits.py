"""Common part of the digits_*.py: small real images, without a download.

This is the paper's recipe with two changes for 1,500 grey images of 8x8: the
run is shorter and there is no augmentation. A crop would cut strokes, which
reach the border (with one pixel of padding the test error is 2 % and not below
1 %), and a mirrored digit is no digit.
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.duration = '500 steps'
  config.dataset.name = 'digits'
  config.augment.pad = 0
  config.augment.flip = False
  config.bn_recompute_batches = 20
  config.run.log_every = 20
  config.run.eval_every = '100 steps'
  return config
