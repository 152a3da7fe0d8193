"""GoogLeNet on ImageNet: Table 3.

Validation error in the paper: top-5 9.15 % (10-crop; from Szegedy et al. 2014,
Table 3). Caffe's bvlc_googlenet reached 31.3 %, top-5 11.1 % (centre crop).
Szegedy et al. give the momentum, 0.9, a learning rate that falls by 4 % every 8
epochs, and the crops. They give neither batch, learning rate, weight decay nor
duration; here these are those of bvlc_googlenet's solver, except for its batch
of 32. Nor do they describe their photometric distortions and their average of
weights over time, which are left out here.
Cost: 13,378,280 parameters, 6,998,552 of which are used in tests; 1.583 billion
multiply-adds, 3.0 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_googlenet.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.duration = '250 epochs'
  config.bn_recompute_batches = 0
  config.dataset.mean = 'channel'
  config.augment.crop = 'inception'
  config.augment.pca_std = 0.0
  config.model.name = 'googlenet'
  config.optimizer.weight_decay = 2e-4
  config.schedule.learning_rate = 0.01
  config.schedule.drops = tuple(f'{epoch} epochs' for epoch in range(8, 250, 8))
  config.schedule.drop_factor = 0.96
  return config
