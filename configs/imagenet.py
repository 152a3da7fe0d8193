"""Common part of the imagenet_*.py: training and tests of Sec. 3.4.

Training takes 60e4 steps of 256 pictures, with scale and crop, flip and colour
augmentation. The learning rate falls where Fig. 4 shows it; the paper says
"when the error plateaus", which is --config.schedule.name=plateau.

The data are TFDS's imagenet2012, which has to be downloaded by hand, or
--config.dataset.folder=DIR with train/<class>/* and val/<class>/*. The mean
image is computed once, and kept beside them:

  python -m resnet_jax.main --mode=mean_image \\
    --config=configs/imagenet_resnet50.py
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.duration = '600000 steps'
  config.batch_size = 256
  config.dataset.name = 'imagenet2012'
  config.dataset.crop_size = 224
  config.augment.pad = 0
  config.augment.pca_std = 0.1
  # The paper's eight GPUs held 32 images each.
  config.model.bn_group_size = 32
  config.schedule.drops = ('25%', '50%')
  config.run.eval_every = '5000 steps'
  config.run.eval_batch_size = 256
  return config
