"""AlexNet on ImageNet: the paper's [21], which is in none of its tables.

Validation error in Krizhevsky et al. 2012, Table 2: 40.7 %, top-5 18.2 %
(10-crop). This is their recipe with two changes: crops are cut from whole
pictures, and not from their central square; and the learning rate falls three
times at even distances, because they do not date the times "when the validation
error rate stopped improving".
Cost: 60,965,224 parameters, 0.724 billion multiply-adds, 0.5 EFLOP a run.

  python -m resnet_jax.main --config=configs/imagenet_alexnet.py
"""

import ml_collections

from configs import imagenet


def get_config() -> ml_collections.ConfigDict:
  config = imagenet.get_config()
  config.duration = '90 epochs'
  config.batch_size = 128
  config.bn_recompute_batches = 0
  config.augment.shorter_side = (256, 256)
  config.model.name = 'alexnet'
  config.optimizer.weight_decay = 5e-4
  config.schedule.learning_rate = 0.01
  config.schedule.drops = ('25%', '50%', '75%')
  return config
