"""A checkpoint evaluated on a folder that has only some of its classes."""

import csv

import jax
import numpy as np
import pytest
from PIL import Image

from configs import cifar_resnet20
from resnet_jax import eval_only, models, weights
from resnet_jax.errors import UserError
from resnet_jax.weights.__main__ import run as weights_command

pytestmark = pytest.mark.usefixtures('quick_compilation')

CLASSES = {'dog': 5, 'airplane': 0, 'ship': 8}  # labels of CIFAR-10


def test_labels_are_the_checkpoints(tmp_path):
  model = models.create('cifar_resnet8')
  variables = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 32, 32, 3)))
  file = tmp_path / 'net.safetensors'
  weights.write_safetensors(file, weights.from_variables(variables, model))
  weights_command(['import', str(file), str(tmp_path / 'net')])
  pixels = np.random.default_rng(0).integers(
    256, size=(3, 4, 32, 32, 3), dtype=np.uint8
  )
  for name, images in zip(CLASSES, pixels, strict=True):
    folder = tmp_path / 'set' / 'val' / name
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
      Image.fromarray(image).save(folder / f'{i}.png')
  config = cifar_resnet20.get_config()
  config.dataset.folder = str(tmp_path / 'set')
  table = tmp_path / 'classes.csv'
  path = tmp_path / 'net' / '0'
  ((_, results),) = eval_only.evaluate_saved(
    config, paths=[path], per_class=table
  )
  mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
  x = (pixels.reshape(12, 32, 32, 3) / 255 - mean) / std
  logits = np.asarray(jax.jit(model.apply)(variables, x))
  wrong = logits.argmax(1) != np.repeat(list(CLASSES.values()), 4)
  assert list(results) == ['validation']
  assert results['validation'].wrong.sum() == wrong.sum()
  rows = {row['name']: row for row in csv.DictReader(table.open())}
  assert {n for n, row in rows.items() if row['examples'] == '4'} == set(
    CLASSES
  )
  assert len(rows) == 10

  (tmp_path / 'set' / 'val' / 'dog').rename(tmp_path / 'set' / 'val' / 'wolf')
  with pytest.raises(UserError, match=r'1 of 3 class folders .wolf. are no cl'):
    eval_only.evaluate_saved(config, paths=[path])
