"""Trains on a folder of your own pictures. This is NOT the paper's recipe.

Give it a folder with train/<class>/* and val/<class>/*. To start from trained
weights, name a checkpoint of a run or of an import (see `resnet_jax.weights`),
whose network it takes:

  python -m resnet_jax.main --config=configs/finetune_folder.py \\
    --config.dataset.folder=DIR --config.finetune.checkpoint=SERIES/STEP

Without a checkpoint it trains ResNet-18 from scratch, for which a few hundred
pictures are too few.
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.duration = '20 epochs'
  config.batch_size = 32
  config.bn_recompute_batches = 0
  config.dataset.name = ''  # the data are a folder
  # The published weights of torchvision and timm were trained with it.
  config.dataset.antialias = True
  # A checkpoint brings its own normalization.
  config.dataset.mean = 'imagenet'
  config.augment.crop = 'inception'
  config.augment.pca_std = 0.0
  config.model.name = 'resnet18'
  config.model.shortcut = 'B'
  config.schedule.name = 'cosine'
  # A tenth of the rate for training from scratch with a batch of 32.
  config.schedule.learning_rate = 0.005
  config.schedule.warmup = 'linear'
  config.schedule.warmup_learning_rate = 0.0005
  config.schedule.warmup_duration = '1 epoch'
  config.run.eval_every = '1 epoch'
  config.run.log_every = 10
  config.run.eval_batch_size = 64
  return config
