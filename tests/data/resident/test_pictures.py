"""Folders of pictures of one size, which are kept on the devices."""

import numpy as np
import pytest
from PIL import Image

from configs import cifar_resnet20
from resnet_jax.config import checks
from resnet_jax.data.load import load
from resnet_jax.data.streamed import sources
from resnet_jax.errors import UserError


def images(count, seed=0, size=(6, 5, 3)):
  rng = np.random.default_rng(seed)
  return rng.integers(256, size=(count, *size), dtype=np.uint8)


def write(root, splits=('train', 'val'), each=4):
  for seed, split in enumerate(splits):
    for label, name in enumerate(('cat', 'dog')):
      folder = root / split / name
      folder.mkdir(parents=True)
      for i, pixels in enumerate(images(each, 10 * seed + label)):
        Image.fromarray(pixels).save(folder / f'{i}.png')
  return root


def config_of(root):
  config = cifar_resnet20.get_config()
  config.dataset.folder = str(root)
  checks.check(config)
  return config


def test_the_recipe_of_cifar_takes_a_folder(tmp_path):
  config = config_of(write(tmp_path / 'set'))
  data = load(config.dataset)
  assert (data.image_shape, data.class_names) == ((6, 5, 3), ('cat', 'dog'))
  assert data.sizes == {'train': 8, 'validation': 8}
  expected = np.concatenate([images(4, 0), images(4, 1)])
  mean = data.normalization(config).mean
  np.testing.assert_allclose(mean, expected.mean(0), rtol=1e-6)
  part = next(data.parts('validation', checks.views.Views('single', (), 6), 8))
  expected = np.concatenate([images(4, 10), images(4, 11)])
  np.testing.assert_array_equal(part.images[:, 0], expected)
  assert part.labels.tolist() == [0] * 4 + [1] * 4


def test_pictures_can_be_held_out_and_have_grey_and_turned_ones(tmp_path):
  root = write(tmp_path / 'set', ('train', 'test'))
  config = config_of(root)
  config.dataset.validation_examples = 3
  pixels = images(1, 99, (5, 6))[0]
  exif = Image.Exif()
  exif[0x0112] = 6
  Image.fromarray(pixels).save(root / 'test' / 'cat' / '0.png', exif=exif)
  data = load(config.dataset)
  assert data.sizes == {'train': 5, 'validation': 3, 'test': 8}
  part = next(data.parts('test', checks.views.Views('single', (), 6), 8))
  turned = np.rot90(pixels, -1)[..., None].repeat(3, -1)
  np.testing.assert_array_equal(part.images[0, 0], turned)


def test_one_that_cannot_be_read_is_left_out(tmp_path, caplog):
  root = write(tmp_path / 'set')
  (root / 'train' / 'cat' / '1.png').write_bytes(b'<html>')
  config = config_of(root)
  assert load(config.dataset).sizes == {'train': 7, 'validation': 8}
  assert 'train/cat/1.png is left out (1 so far): it is a web page' in (
    caplog.text
  )
  config.dataset.max_damaged = 0
  with pytest.raises(UserError, match=r'max_damaged is 0: .*1\.png .of the'):
    load(config.dataset)


@pytest.mark.parametrize(
  ('place', 'telling'),
  [
    ('train/dog/2.png', r'0.png is 6x5 .height x width. and .*2.png 7x5'),
    ('val', 'train 6x5, validation 7x5'),
  ],
)
def test_other_sizes_are_refused(tmp_path, place, telling):
  root = write(tmp_path / 'set')
  place = root / place
  for file in place.rglob('*.png') if place.is_dir() else [place]:
    Image.fromarray(images(1, 0, (7, 5, 3))[0]).save(file)
  with pytest.raises(UserError, match=f'{telling}.*crop_size=0.*finetune'):
    load(config_of(root).dataset)


def test_it_is_evaluated_without_training_pictures(tmp_path):
  root = write(tmp_path / 'set', ('val',))
  data = load(config_of(root).dataset, ('dog', 'bird', 'cat'))
  assert data.sizes == {'validation': 8}
  assert data.class_names == ('dog', 'bird', 'cat')
  part = next(data.parts('validation', checks.views.Views('single', (), 6), 8))
  assert part.labels.tolist() == [2] * 4 + [0] * 4
  found = sources.load_pictures(config_of(root).dataset, ('dog', 'cat'))
  assert found.class_names == ('dog', 'cat')
