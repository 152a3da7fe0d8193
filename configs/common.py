"""Every field of a configuration, once; the files beside it set what differs.

A config file starts from `get_config()` here. The defaults are the paper's
Sec. 4.2: CIFAR-10, batch 128, 64k steps.

Durations are text: '64000 steps', '2.5 epochs', or '50%' of the whole run.
A bare number is in steps.
"""

import ml_collections
from ml_collections import config_dict


def get_config() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()

  # Of initialization, of the order of examples and of their augmentation.
  config.seed = 0
  # How long to train.
  config.duration = '64000 steps'
  # Examples of one step, over all hosts and devices.
  config.batch_size = 128
  # Share of the target probability that is spread over all classes. Paper: 0.
  config.label_smoothing = 0.0
  # Training batches over which the BN statistics are averaged anew once
  # training is over, as the authors do; 0: not at all.
  config.bn_recompute_batches = 200

  config.dataset = dataset = ml_collections.ConfigDict()
  # A TFDS name (cifar10, cifar100, ...), or 'digits', which needs no network.
  dataset.name = 'cifar10'
  # Where TFDS keeps its data; '' is ~/tensorflow_datasets.
  dataset.data_dir = ''
  # An .npz file to train from, in place of TFDS; see docs/extending.md.
  dataset.npz = ''
  # A folder with train/<class>/* and val/<class>/*, in place of TFDS.
  dataset.folder = ''
  # 0: images of one size, which live on the devices. Else pictures of any size,
  # of TFDS or a folder, cropped to so many pixels square; ImageNet: 224.
  dataset.crop_size = 0
  # Pictures: smooth before scaling down, as Pillow and MATLAB do, but OpenCV
  # and most TensorFlow codes do not; decoding is then a third slower. Training
  # and tests must agree: it moves ImageNet's top-1 error by 0.3 to 1 points.
  dataset.antialias = False
  # What is subtracted from the training and test images: 'pixel', the training
  # set's mean image (the paper's); 'channel', its mean colour; or 'imagenet',
  # the mean colour of ImageNet that public codes share.
  dataset.mean = 'pixel'
  # Pictures: where `--mode=mean_image` keeps the mean image, beside the data.
  dataset.mean_file = 'mean-224.npz'
  # Pictures: how many damaged ones are left out before that is an error.
  dataset.max_damaged = 20
  # Training examples held out to choose by; the paper's 45k/5k split is 5000.
  # With 0, and no validation split in the data, the test set shows the curve.
  dataset.validation_examples = 0
  # Which ones: a seed of their own, so that all runs hold out the same.
  dataset.validation_seed = 0

  config.augment = augment = ml_collections.ConfigDict()
  # Pixels padded on each side before the random crop; 0: no crop. Not for
  # pictures.
  augment.pad = 4
  # Pictures: 'shorter_side' scales that to a random length (Sec. 3.4) before
  # the random crop; 'inception' takes a random area and shape (not the
  # paper's).
  augment.crop = 'shorter_side'
  # Pictures: the least and the greatest length, pixels.
  augment.shorter_side = (256, 480)
  # Pictures: deviation of AlexNet's random colour shifts; ImageNet: 0.1.
  augment.pca_std = 0.0
  # Mirror half of the training images.
  augment.flip = True

  config.model = model = ml_collections.ConfigDict()
  # One of resnet_jax.models.available(), or cifar_{resnet,plain}<6n+2>.
  model.name = 'cifar_resnet20'
  # 'A', 'B' or 'C' (Sec. 4.1); None: the paper's for this network.
  model.shortcut = config_dict.placeholder(str)
  # Stride of bottlenecks, 'v1' or 'v1.5'; None: the paper's v1.
  model.version = config_dict.placeholder(str)
  # Of ImageNet's nets: 'ceil' (the authors') or 'padded' (torchvision's, which
  # its weights want); None: the paper's.
  model.stem_pool = config_dict.placeholder(str)
  # Of the computation: 'float32' or 'bfloat16'; 'float64' for proofs on a CPU.
  model.dtype = 'float32'
  # Examples that share BN statistics; 0: the whole batch. The paper's two GPUs
  # held 64 each.
  model.bn_group_size = 64
  # Share of BN's running averages that one step keeps.
  model.bn_momentum = 0.9
  # Start the last BN scale of each block at 0. Not the paper's.
  model.zero_init_residual = False
  # Recompute each block in the backward pass: less memory, for a second forward
  # pass, which is a third more arithmetic.
  model.remat = False

  config.optimizer = optimizer = ml_collections.ConfigDict()
  # Of SGD.
  optimizer.momentum = 0.9
  # Nesterov's momentum. Not the paper's.
  optimizer.nesterov = False
  # Times the weights of convolutions and fc, added to their gradients.
  optimizer.weight_decay = 1e-4

  config.schedule = schedule = ml_collections.ConfigDict()
  # 'step': falls at `drops`; 'plateau': falls when the validation error does
  # not; 'cosine': falls to 0 along half a cosine.
  schedule.name = 'step'
  # The highest learning rate.
  schedule.learning_rate = 0.1
  # When it is multiplied by drop_factor: 32k and 48k of the paper's 64k steps.
  schedule.drops = ('50%', '75%')
  schedule.drop_factor = 0.1
  # A plateau is so many evaluations in a row ...
  schedule.plateau_window = 5
  # ... none of which was better than the best before by this fraction.
  schedule.plateau_threshold = 0.001
  # 'none'; 'linear': from warmup_learning_rate up to learning_rate within
  # warmup_duration; 'error': warmup_learning_rate until the training error is
  # below warmup_error (Sec. 4.2, for 110 layers).
  schedule.warmup = 'none'
  schedule.warmup_learning_rate = 0.01
  schedule.warmup_duration = '5 epochs'
  # A fraction, of the examples of warmup_window steps in a row.
  schedule.warmup_error = 0.8
  schedule.warmup_window = 100

  config.finetune = finetune = ml_collections.ConfigDict()
  # A checkpoint to start from, SERIES/STEP: of a run, or imported. The network
  # and the normalization of images are its own, too.
  finetune.checkpoint = ''
  # Start the last layer anew, for other classes.
  finetune.new_head = True
  # Stages that stay as they are, from the input: 1 is the stem, 2 the stem and
  # conv2_x, ...
  finetune.frozen_stages = 0
  # Keep all BN as it is: running averages, scale and offset.
  finetune.frozen_bn = False

  config.test = test = ml_collections.ConfigDict()
  # What is looked at of a picture, in the loop and by --mode=eval: 'single',
  # the centre crop; 'ten_crop' (Tables 2, 3); 'dense' (Table 4). Small images
  # have a single view.
  test.views = 'single'
  # Pixels, of the picture that crops are cut from.
  test.shorter_side = 256
  # Pixels, of the scales of the dense test.
  test.dense_shorter_sides = (224, 256, 384, 480, 640)

  # Nothing in `run` changes the result: a run may be resumed with other values.
  config.run = run = ml_collections.ConfigDict()
  # Steps between two records of training in metrics.jsonl and TensorBoard.
  run.log_every = 100
  # Between two evaluations: a duration.
  run.eval_every = '1000 steps'
  # Images at a time, over all hosts and devices.
  run.eval_batch_size = 1000
  # Parts of a device's share that are computed in turn, to save memory. BN
  # groups must fit into a part: so this changes no result.
  run.microbatches = 1
  # Between two checkpoints: a duration, or '10 minutes'.
  run.checkpoint_every = '10 minutes'
  # Checkpoints that are kept; the best by validation error comes on top.
  run.checkpoints_kept = 2
  # Write TensorBoard events (imports TensorFlow).
  run.tensorboard = True
  # Resume even though fields that change the result have changed.
  run.resume_changed = False

  return config
