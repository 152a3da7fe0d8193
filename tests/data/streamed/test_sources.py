"""Folders and TFDS sets of pictures: what is found, and what is refused."""

import pathlib

import numpy as np
import pytest

from resnet_jax.data.streamed.sources import load_pictures
from resnet_jax.errors import UserError
from tests.data.streamed.pictures import (
  CLASSES,
  TRAIN,
  VAL,
  config_of,
  feed,
  write_folder,
)

pytest.importorskip('tensorflow')


def test_a_folder_is_read_by_class_and_name(folder):
  found = load_pictures(config_of(folder).dataset)
  assert found.class_names == CLASSES
  assert {k: len(v) for k, v in found.splits.items()} == {
    'train': TRAIN,
    'validation': VAL,
  }
  names = [found.splits['train'].name(i) for i in range(TRAIN)]
  assert names == sorted(map(str, pathlib.Path(folder, 'train').glob('*/*')))


@pytest.mark.parametrize(
  ('change', 'telling'),
  [
    (lambda root: root / 'nowhere', 'there is no folder'),
    (lambda root: root / 'train', 'has no folder train/, only flower, temple'),
    ('empty class', 'temple holds no picture'),
    ('one class', 'has 1 class folders'),
    ('missing class', '1 are missing .temple.'),
    ('misspelt class', "1 are not in train .temples..*did you mean 'temple'"),
    ('no val', 'nothing to test on'),
  ],
)
def test_folders_out_of_order_are_refused(tmp_path, change, telling):
  root = write_folder(tmp_path / 'set', train=2, val=1)
  if callable(change):
    root = change(root)
  elif change == 'empty class':
    for file in (root / 'train' / 'temple').iterdir():
      file.rename(file.with_suffix('.txt'))
  elif change == 'one class':
    (root / 'train' / 'temple').rename(root / 'temple')
  elif change == 'missing class':
    (root / 'val' / 'temple').rename(root / 'temple')
  elif change == 'misspelt class':
    (root / 'val' / 'temple').rename(root / 'val' / 'temples')
  else:
    (root / 'val').rename(root / 'other')
  with pytest.raises(UserError, match=telling):
    load_pictures(config_of(root).dataset)


def test_validation_pictures_can_be_held_out(tmp_path):
  root = write_folder(tmp_path / 'set', train=5, val=1)
  (root / 'val').rename(root / 'test')
  config = config_of(root).dataset
  config.validation_examples = 4
  splits = load_pictures(config).splits
  assert {k: len(v) for k, v in splits.items()} == {
    'train': 6,
    'test': 2,
    'validation': 4,
  }
  names = [s.name(i) for s in splits.values() for i in range(len(s))]
  assert len(set(names)) == 12


@pytest.mark.slow
def test_a_tfds_set_is_read_by_its_records(folder, tmp_path):
  import tensorflow_datasets as tfds

  class PicturesForTests(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
          {
            'image': tfds.features.Image(encoding_format='jpeg'),
            'label': tfds.features.ClassLabel(names=CLASSES),
          }
        ),
        supervised_keys=('image', 'label'),
      )

    def _split_generators(self, _):
      return {s: self._generate_examples(s) for s in ('train', 'validation')}

    def _generate_examples(self, split):
      root = pathlib.Path(folder, {'validation': 'val'}.get(split, split))
      for file in sorted(root.glob('*/*.JPEG')):
        yield (
          f'{file.parent.name}-{file.name}',
          {'image': file, 'label': file.parent.name},
        )

  tfds.display_progress_bar(False)
  PicturesForTests(data_dir=tmp_path).download_and_prepare()
  config = config_of('')
  config.dataset.name = 'pictures_for_tests'
  config.dataset.data_dir = str(tmp_path)
  found = load_pictures(config.dataset)
  assert found.class_names == CLASSES
  assert {k: len(v) for k, v in found.splits.items()} == {
    'train': TRAIN - 2,
    'validation': VAL - 2,
  }
  config.batch_size = TRAIN - 2
  batch = feed('', config=config, records=found.splits['train']).host_batch(0)
  assert sorted(batch['ids']) == list(range(TRAIN - 2))
  assert np.bincount(batch['labels']).tolist() == [TRAIN // 2 - 1] * 2
  assert len({image.tobytes() for image in batch['images']}) == TRAIN - 2
