"""A small folder of real pictures, of many sizes, and its readers for tests."""

import os
import pathlib

import numpy as np

from configs import finetune_folder
from resnet_jax.data.streamed.feed import StreamedFeed
from resnet_jax.data.streamed.sources import load_pictures
from resnet_jax.data.streamed.view_reader import ViewReader

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
# Pictures of each split of `write_folder`; batch and crop of `config_of`.
TRAIN, VAL, BATCH, CROP = 18, 10, 8, 16


def photographs() -> list[np.ndarray]:
  """The two photographs of scikit-learn, 427x640: a flower and a temple."""
  from sklearn import datasets

  temple, flower = datasets.load_sample_images().images
  return [flower, temple]


def write_folder(
  root: pathlib.Path, train: int = 9, val: int = 5
) -> pathlib.Path:
  """Writes parts of the photographs, a class for each, as JPEG or PNG."""
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
  """The part `name` of the data in RESNET_JAX_TEST_DATA, if there are any."""
  root = os.environ.get('RESNET_JAX_TEST_DATA')
  path = pathlib.Path(root, name) if root else None
  return path if path is not None and path.exists() else None


def config_of(folder, **augment):
  """A config of small crops of the pictures in `folder`."""
  config = finetune_folder.get_config()
  config.dataset.folder = str(folder)
  config.dataset.crop_size = CROP
  config.batch_size = BATCH
  config.augment.shorter_side = (17, 24)
  config.augment.crop = 'shorter_side'
  config.augment.update(augment)
  return config


def feed(folder, *, host=0, hosts=1, config=None, records=None):
  """A feed of the training pictures, or of `records`."""
  config = config or config_of(folder)
  records = records or load_pictures(config.dataset).splits['train']
  return StreamedFeed(records, config, host=host, hosts=hosts)


def batches(folder, steps, **options):
  """The batches of `steps`, from one feed."""
  one = feed(folder, **options)
  return [one.host_batch(step) for step in steps]


def equal(a, b):
  """Whether two batches are the same."""
  return all(np.array_equal(a[k], b[k]) for k in a)


def reader(folder, split='validation', **changes):
  """A reader of the views of one split."""
  options = {'antialias': True, 'max_damaged': 2, 'host': 0, 'hosts': 1}
  records = load_pictures(config_of(folder).dataset).splits[split]
  return ViewReader(records, **(options | changes))
