"""A small folder of real pictures, of many sizes, for the tests."""

import os
import pathlib

import numpy as np

# A net and a run of seconds on the pictures of `write_folder`.
SMALL = (
  '--config=configs/finetune_folder.py',
  '--config.model.name=cifar_resnet8',
  '--config.model.shortcut=A',
  '--config.dataset.crop_size=16',
  '--config.augment.shorter_side=(17, 24)',
  '--config.test.shorter_side=19',
  '--config.test.dense_shorter_sides=(16, 22)',
  '--config.batch_size=8',
  '--config.model.bn_group_size=4',
  '--config.duration=12',
  '--config.schedule.warmup=none',
  '--config.schedule.name=plateau',
  '--config.schedule.plateau_window=1',
  '--config.schedule.plateau_threshold=0.9',
  '--config.run.tensorboard=False',
  '--config.run.log_every=3',
  '--config.run.eval_every=6',
  '--config.run.eval_batch_size=6',
  '--config.run.checkpoint_every=5',
)
CLASSES = ('flower', 'temple')


def photographs() -> list[np.ndarray]:
  """The two of scikit-learn, 427x640: of a temple, and of a flower."""
  from sklearn import datasets

  temple, flower = datasets.load_sample_images().images
  return [flower, temple]


def write_folder(
  root: pathlib.Path, train: int = 9, val: int = 5
) -> pathlib.Path:
  """Parts of each photograph, a class each, as JPEG or PNG."""
  from PIL import Image

  rng = np.random.default_rng(0)
  for split, count in (('train', train), ('val', val)):
    for name, photograph in zip(CLASSES, photographs(), strict=True):
      folder = root / split / name
      folder.mkdir(parents=True)
      for i in range(count):
        height, width = rng.integers(30, 60, 2)
        top = rng.integers(photograph.shape[0] - height)
        left = rng.integers(photograph.shape[1] - width)
        part = photograph[top : top + height, left : left + width]
        suffix = 'png' if i == 1 else 'JPEG'
        Image.fromarray(part).save(folder / f'{i:03}.{suffix}', quality=90)
  return root


def real_data(name: str) -> pathlib.Path | None:
  """The part `name` of real data, where the environment says there are any."""
  root = os.environ.get('RESNET_JAX_TEST_DATA')
  path = pathlib.Path(root, name) if root else None
  return path if path is not None and path.exists() else None
