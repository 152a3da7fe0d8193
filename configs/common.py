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

  # Seed of the initialization, of the order of examples and of augmentation.
  config.seed = 0
  # Length of training.
  config.duration = '64000 steps'
  # Examples of one step, over all hosts and devices.
  config.batch_size = 128
  # Share of the target probability that is spread over all classes. Paper: 0.
  config.label_smoothing = 0.0
  # Training batches over which the BN statistics are averaged anew at the end
  # of training, as the authors do; 0 leaves the running averages.
  config.bn_recompute_batches = 200

  config.dataset = dataset = ml_collections.ConfigDict()
  # A TFDS name (cifar10, cifar100, ...), or 'digits', which needs no download.
  dataset.name = 'cifar10'
  # Folder where TFDS keeps its data; '' is ~/tensorflow_datasets.
  dataset.data_dir = ''
  # An .npz file to train from, in place of TFDS; see docs/extending.md.
  dataset.npz = ''
  # A folder with train/<class>/* and val/<class>/*, in place of TFDS.
  dataset.folder = ''
  # 0 takes images of one size, which live on the devices. Any other number
  # takes pictures of any size, of TFDS or a folder, and crops them to a square
  # of that many pixels; ImageNet: 224.
  dataset.crop_size = 0
  # Pictures: whether to smooth before scaling down, as Pillow and MATLAB do,
  # and OpenCV and most TensorFlow codes do not; it makes decoding a third
  # slower. Training and tests must agree: otherwise ImageNet's top-1 error
  # moves by 0.3 to 1 points.
  dataset.antialias = False
  # The mean that is subtracted from training and test images: 'pixel' is the
  # training set's mean image (the paper's), 'channel' its mean colour, and
  # 'imagenet' the mean colour of ImageNet that public codes share.
  dataset.mean = 'pixel'
  # Pictures: file of the mean image, which `--mode=mean_image` writes, in the
  # folder of the data.
  dataset.mean_file = 'mean-224.npz'
  # Pictures: damaged ones that are borne, training on others in their place and
  # testing without them; more of them are an error.
  dataset.max_damaged = 20
  # Training examples that are held out for validation; the paper's 45k/5k split
  # is 5000. With 0, and no validation split in the data, the error curve is
  # that of the test set.
  dataset.validation_examples = 0
  # Seed of the choice of these, apart from `seed`, so that all runs hold out
  # the same ones.
  dataset.validation_seed = 0

  config.augment = augment = ml_collections.ConfigDict()
  # Small images: pixels padded on each side before the random crop; 0 crops
  # nothing.
  augment.pad = 4
  # Pictures: 'shorter_side' scales the shorter side to a random length before
  # the random crop (Sec. 3.4); 'inception' takes a part of random area and
  # shape (not the paper's).
  augment.crop = 'shorter_side'
  # Pictures: the least and the greatest length of the shorter side, pixels.
  augment.shorter_side = (256, 480)
  # Pictures: deviation of AlexNet's random colour shifts; ImageNet: 0.1.
  augment.pca_std = 0.0
  # Whether to mirror half of the training images.
  augment.flip = True

  config.model = model = ml_collections.ConfigDict()
  # A name that resnet_jax.models.create() knows: see available(), baselines().
  model.name = 'cifar_resnet20'
  # Shortcut 'A', 'B' or 'C' (Sec. 4.1); None takes the paper's for the network.
  model.shortcut = config_dict.placeholder(str)
  # Place of the bottlenecks' stride, 'v1' or 'v1.5'; None takes the paper's v1.
  model.version = config_dict.placeholder(str)
  # Pooling in the stem of ImageNet's nets: 'ceil' (the authors') or 'padded'
  # (torchvision's, which its weights need); None takes the authors'.
  model.stem_pool = config_dict.placeholder(str)
  # Type of the computation: 'float32' or 'bfloat16'; 'float64' for proofs on a
  # CPU.
  model.dtype = 'float32'
  # Precision of float32 products: 'float32' rounds no factor, as the paper's
  # GPUs did; 'tensorfloat32' lets an A100 or later round to TF32, which is
  # several times faster and JAX's and PyTorch's default for convolutions. On a
  # CPU both are the same.
  model.precision = 'float32'
  # Examples that share BN statistics; 0 takes the whole batch. The paper's two
  # GPUs held 64 each.
  model.bn_group_size = 64
  # Share of BN's running averages that one step keeps.
  model.bn_momentum = 0.9
  # Whether the last BN scale of each block starts at 0. Not the paper's.
  model.zero_init_residual = False
  # Whether the backward pass recomputes each block: this saves memory for a
  # second forward pass, which is a third more arithmetic.
  model.remat = False

  config.optimizer = optimizer = ml_collections.ConfigDict()
  # Momentum of SGD.
  optimizer.momentum = 0.9
  # Whether the momentum is Nesterov's. Not the paper's.
  optimizer.nesterov = False
  # Factor of the weights of convolutions and fc that is added to their
  # gradients.
  optimizer.weight_decay = 1e-4

  config.schedule = schedule = ml_collections.ConfigDict()
  # When the learning rate falls: 'step' at `drops`; 'plateau' when the
  # validation error does not; 'cosine' to 0 along half a cosine.
  schedule.name = 'step'
  # The highest learning rate.
  schedule.learning_rate = 0.1
  # Times at which it is multiplied by drop_factor: 32k and 48k of the paper's
  # 64k steps.
  schedule.drops = ('50%', '75%')
  schedule.drop_factor = 0.1
  # A plateau is this number of evaluations in a row ...
  schedule.plateau_window = 5
  # ... none of which was better than the best before by this fraction.
  schedule.plateau_threshold = 0.001
  # Warm-up: 'none'; 'linear' rises from warmup_learning_rate to learning_rate
  # within warmup_duration; 'error' keeps warmup_learning_rate until the
  # training error is below warmup_error (Sec. 4.2, for 110 layers).
  schedule.warmup = 'none'
  schedule.warmup_learning_rate = 0.01
  schedule.warmup_duration = '5 epochs'
  # A fraction of the examples of warmup_window steps in a row.
  schedule.warmup_error = 0.8
  schedule.warmup_window = 100

  config.finetune = finetune = ml_collections.ConfigDict()
  # A checkpoint to start from, SERIES/STEP, of a run or an import. The network
  # and the normalization of images are taken from it, too.
  finetune.checkpoint = ''
  # Whether the last layer starts anew, for other classes.
  finetune.new_head = True
  # Number of stages, from the input, that stay as they are: 1 is the stem, 2
  # the stem and conv2_x, ...
  finetune.frozen_stages = 0
  # Whether all BN stays as it is: running averages, scale and offset.
  finetune.frozen_bn = False

  config.test = test = ml_collections.ConfigDict()
  # Views of a picture that are scored, in the loop and by --mode=eval:
  # 'single', the centre crop; 'ten_crop' (Tables 2, 3); 'dense' (Table 4).
  # Small images have a single view.
  test.views = 'single'
  # Shorter side of the picture that crops are cut from, pixels.
  test.shorter_side = 256
  # Shorter sides of the picture in the dense test, pixels.
  test.dense_shorter_sides = (224, 256, 384, 480, 640)

  # Nothing in `run` changes the result: a run may be resumed with other values.
  config.run = run = ml_collections.ConfigDict()
  # Steps between two records of training in metrics.jsonl and TensorBoard.
  run.log_every = 100
  # Duration between two evaluations.
  run.eval_every = '1000 steps'
  # Images of an evaluation's batch, over all hosts and devices.
  run.eval_batch_size = 1000
  # Parts of a device's share that are computed in turn, to save memory. BN
  # groups must fit into a part, so that the result stays the same.
  run.microbatches = 1
  # Small images: whether they stay in the memory of the host, and not on every
  # device, where they may be too many.
  run.data_on_host = False
  # Duration between two checkpoints; '10 minutes' and the like are allowed,
  # too.
  run.checkpoint_every = '10 minutes'
  # Newest checkpoints that are kept, beside the best by validation error.
  run.checkpoints_kept = 2
  # Whether to write TensorBoard events (imports TensorFlow).
  run.tensorboard = True
  # A function that is given every record, too, to pass on to Weights & Biases
  # or another service: 'module:function', see docs/extending.md; '' is none.
  run.hook = ''
  # Several hosts: seconds to wait at the start until all have come, and
  # without a sign of life after which a host is lost and the others end.
  run.host_wait = 300.0
  run.host_timeout = 30.0
  # Whether to resume although fields that change the result have changed.
  run.resume_changed = False

  return config
