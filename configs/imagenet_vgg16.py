"""VGG-16 on ImageNet: Table 3.

Validation error in the paper: 28.07 %, top-5 9.33 % (10-crop, the paper's own
test of published weights).
The recipe is Simonyan & Zisserman's (2015, Sec. 3.1) with two changes: no
smaller net is trained first, as weights start from He's initialization; and the
learning rate falls three times at even distances, because they do not date the
times "when the validation set accuracy stopped improving".
Cost: 138,357,544 parameters, 15.470 billion multiply-adds, 8.8 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_vgg16.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.duration = '370000 steps'
  config.bn_recompute_batches = 0
  config.dataset.mean = 'channel'
  config.augment.shorter_side = (256, 512)
  config.model.name = 'vgg16'
  config.optimizer.weight_decay = 5e-4
  config.schedule.learning_rate = 0.01
  config.schedule.drops = ('25%', '50%', '75%')
  return config
