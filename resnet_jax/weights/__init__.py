"""Weights that others trained, in and out, under PyTorch's names.

  from resnet_jax import weights

  net = weights.load('resnet50.pth')  # or .safetensors, .npz, SERIES/STEP
  logits = net(images)                # uint8 [examples, 224, 224, 3]
  net.model, net.variables, net.normalization, net.class_names

The steps beneath it, for weights that are in memory. Weights do not show where
a network has its strides, so `detect` takes them to be PyTorch's own, v1.5:

  arrays = weights.read('resnet50.pth')
  kind = weights.detect(arrays)                      # resnet50, 1000 classes
  model = models.create(
    kind.network, num_classes=kind.num_classes, **kind.overrides
  )
  variables = weights.to_variables(arrays, model)    # {'params', 'batch_stats'}
  arrays = weights.from_variables(variables, model)  # and back, bit for bit
  weights.write_safetensors('resnet50.safetensors', arrays)

Commands do the same, with our checkpoints in place of variables:

  python -m resnet_jax.weights show FILE
  python -m resnet_jax.weights import FILE DIR
  python -m resnet_jax.weights export DIR/0 FILE.safetensors

Names are those of torchvision's and timm's resnet18 ... resnet152, and those of
the common PyTorch reimplementation of the CIFAR nets. PyTorch itself is needed,
and imported, only to read its own files; no pickle is ever run.
"""

from resnet_jax.data.normalization import Normalization
from resnet_jax.weights.architecture import Architecture, detect
from resnet_jax.weights.checkpoints import (
  export_checkpoint,
  import_file,
  read_checkpoint,
  read_file,
)
from resnet_jax.weights.convert import from_variables, to_variables
from resnet_jax.weights.files import read, read_metadata, write_safetensors
from resnet_jax.weights.loaded import Loaded, load

__all__ = [
  'Architecture',
  'Loaded',
  'Normalization',
  'detect',
  'export_checkpoint',
  'from_variables',
  'import_file',
  'load',
  'read',
  'read_checkpoint',
  'read_file',
  'read_metadata',
  'to_variables',
  'write_safetensors',
]
