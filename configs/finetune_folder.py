"""Trains on a folder of your own pictures. NOT the paper's recipe.

Give it a folder with train/<class>/* and val/<class>/*, and, to start from what
was learned before, a checkpoint or an import (see `resnet_jax.weights`), whose
network it takes:

  python -m resnet_jax.main --config=configs/finetune_folder.py \\
    --config.dataset.folder=DIR --config.finetune.checkpoint=SERIES/STEP

Without one it trains ResNet-18 from scratch, for which a few hundred pictures
are too few to expect much.
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.duration = '20 epochs'
  config.batch_size = 32
  config.bn_recompute_batches = 0
  config.dataset.name = ''  # a folder it is to be
  # As torchvision and timm did when they trained the weights they publish.
  config.dataset.antialias = True
  # A checkpoint brings its own.
  config.dataset.mean = 'imagenet'
  config.augment.crop = 'inception'
  config.augment.pca_std = 0.0
  config.model.name = 'resnet18'
  config.model.shortcut = 'B'
  config.schedule.name = 'cosine'
  # A tenth of what training from scratch takes for a batch of 32.
  config.schedule.learning_rate = 0.005
  config.schedule.warmup = 'linear'
  config.schedule.warmup_learning_rate = 0.0005
  config.schedule.warmup_duration = '1 epoch'
  config.run.eval_every = '1 epoch'
  config.run.log_every = 10
  config.run.eval_batch_size = 64
  return config
