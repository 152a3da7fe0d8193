"""Which files of a folder are pictures, and the labels of its classes."""

import os
import pathlib

import numpy as np
import pytest

from resnet_jax import predict
from resnet_jax.data.streamed import class_folders, sources
from resnet_jax.errors import UserError
from tests.data.streamed.pictures import config_of


def tree(root, *paths):
  for path in paths:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b'x' * len(path))
  return root


FILES = (
  'a.jpg', 'b.JPEG', 'c.webp', 'd.WebP', 'e.tif', 'f.jfif', 'g.PNG', 'h.gif',
  'i.bmp', 'deeper/j.jpg', 'deeper/still/k.jpg',
)  # fmt: skip
NO_FILES = (
  '.hidden.jpg', '.thumbs/l.jpg', 'm.avif', 'n.avif', 'o.txt', 'Makefile',
)  # fmt: skip


def test_training_and_predict_follow_one_rule(tmp_path, caplog):
  for split in ('train', 'val'):
    for name in ('cat', 'dog'):
      tree(tmp_path / split / name, *FILES, *NO_FILES)
  tree(tmp_path / 'train', 'loose.jpg', 'list.csv')
  outside = tree(tmp_path / 'outside', 'p.jpg')
  (tmp_path / 'train' / 'cat' / 'link').symlink_to(outside)
  found = sources.from_folder(str(tmp_path))
  assert {k: len(v) for k, v in found.splits.items()} == {
    'train': 2 * len(FILES),
    'validation': 2 * len(FILES),
  }
  records = found.splits['train']
  assert [records.name(i) for i in range(len(FILES))] == sorted(
    str(tmp_path / 'train' / 'cat' / name) for name in FILES
  )
  for words in (
    '8 hidden', '8 .avif', '4 .txt', '4 without a suffix', '1 link to a folder',
    '1 pictures outside of class folders', '1 .csv',
  ):  # fmt: skip
    assert words in caplog.text
  assert caplog.text.count('left out of') == 1
  caplog.clear()
  folder = str(tmp_path / 'train' / 'cat')
  assert predict.find_pictures([folder]) == [
    records.name(i) for i in range(len(FILES))
  ]
  assert f'left out of {folder}' in caplog.text
  assert '2 .avif' in caplog.text


def test_names_that_are_no_utf8(tmp_path):
  good = tmp_path / 'set'
  for split in ('train', 'val'):
    tree(good / split, 'cat/a.jpg', 'dog/b.jpg')
  strange = os.fsdecode(b'\xe9.jpg')
  tree(good / 'train' / 'cat', strange)
  records = sources.from_folder(str(good)).splits['train']
  assert records.name(1).endswith('cat/\\xe9.jpg')
  os.rename(good / 'train' / 'dog', good / 'train' / os.fsdecode(b'caf\xe9'))
  with pytest.raises(UserError, match=r'caf\\xe9 is not UTF-8'):
    sources.from_folder(str(good))
  other = tmp_path / os.fsdecode(b'\xff')
  good.rename(other)
  with pytest.raises(UserError, match=r'\\xff is not UTF-8'):
    sources.from_folder(str(other))


CLASSES = ('n1 tench', 'n2 goldfish, fish', 'n3 shark')


@pytest.mark.parametrize(
  ('folders', 'classes', 'labels'),
  [
    (('n1', 'n3'), CLASSES, {'n1': 0, 'n3': 2}),
    (('n3 shark',), CLASSES, {'n3 shark': 2}),
    (('b', 'c'), ('c', 'a', 'b'), {'b': 2, 'c': 0}),
    # The first word tells nothing where two classes share it.
    (('red fox',), ('red fox', 'red panda'), {'red fox': 0}),
    # As many others: in their order, with a warning of `check_classes`.
    (('x', 'y'), ('0', '1'), {'x': 0, 'y': 1}),
    (('red',), ('red fox', 'red panda'), '1 of 1 class folders .red.'),
    (('a', 'd'), ('a', 'b'), '1 of 2 class folders .d. are no classes'),
    (('x', 'y'), CLASSES, 'has 3 .n1 tench'),
    (('catt',), ('cat', 'dog'), "did you mean 'cat'"),
    (('n1', 'n1 tench'), CLASSES, 'both of the class'),
    ((), CLASSES, '0 of 0'),
  ],
)
def test_labels_are_those_of_the_checkpoint(folders, classes, labels):
  root = pathlib.Path('set')
  if isinstance(labels, str):
    with pytest.raises(UserError, match=labels):
      class_folders.match(root, folders, classes)
  else:
    assert class_folders.match(root, folders, classes)[1] == labels


def test_a_folder_to_evaluate_needs_no_training_pictures(tmp_path):
  root = tree(tmp_path / 'set', 'val/c/1.jpg', 'val/a/2.jpg', 'val/a/3.jpg')
  config = config_of(root).dataset
  config.validation_examples = 5  # of the run that the config comes from
  with pytest.raises(UserError, match='has no folder train/'):
    sources.load_pictures(config)
  found = sources.load_pictures(config, ('c', 'b', 'a'))
  assert list(found.splits) == ['validation']
  assert found.class_names == ('c', 'b', 'a')
  np.testing.assert_array_equal(found.splits['validation'].labels, [2, 2, 0])
  with pytest.raises(UserError, match='no folder val/ or test/'):
    sources.from_folder(str(root / 'val'), ('c', 'b', 'a'))
