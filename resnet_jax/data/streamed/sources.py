"""Finds sets of labelled pictures of any size.

from_folder   DIR/train/<class>/*.jpg, DIR/val/<class>/*.jpg
from_tfds     a TFDS set, such as imagenet2012
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence

import ml_collections

from resnet_jax.data import tfds_sets
from resnet_jax.data.order import held_out
from resnet_jax.data.streamed import class_folders, folders
from resnet_jax.data.streamed.records import Records
from resnet_jax.data.streamed.tfrecords import TFRecords
from resnet_jax.errors import UserError

# Names that the folder of the validation split may have.
_VALIDATION = ('val', 'validation', 'valid')
# Names that a message lists at most.
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class PictureSet:
  """A set with its splits: train, and validation or test or both.

  Attributes:
    name: The set's name, for messages.
    folder: The folder that holds it.
    class_names: The classes in the order of their labels.
    splits: Its examples by split.
    fingerprint: Hash of the names and sizes of its files, or of where its
      TFRecords lie.
  """

  name: str
  folder: pathlib.Path
  class_names: tuple[str, ...]
  splits: Mapping[str, Records]
  fingerprint: str


def load_pictures(
  config: ml_collections.ConfigDict, classes: Sequence[str] | None = None
) -> PictureSet:
  """The set that `config.dataset` names, checked and split.

  Args:
    config: `config.dataset` of the run.
    classes: See `from_folder`.

  Raises:
    UserError: there is no such set, or it is not in order.
  """
  if config.folder:
    pictures = from_folder(config.folder, classes)
  else:
    pictures = from_tfds(config.name, config.data_dir)
  return _hold_out(pictures, config.validation_examples, config.validation_seed)


def from_folder(
  folder: str, classes: Sequence[str] | None = None
) -> PictureSet:
  """The set `train/<class>/*`, `val/<class>/*` and, if there, `test/<class>/*`.

  Args:
    folder: The folder of all of this.
    classes: The classes of a checkpoint that is evaluated, by label: the labels
      are theirs, and neither training pictures nor all classes are needed. None
      numbers the class folders in the order of their bytes.

  Raises:
    UserError: there are no such folders, a class has no pictures, there is one
      class only, or the splits have different classes.
  """
  root = pathlib.Path(folder).expanduser()
  if not root.is_dir():
    raise UserError(f'config.dataset.folder: there is no folder {root}')
  class_folders.check_name(root)
  found = {
    split: path
    for split, names in {
      'train': ('train',),
      'validation': _VALIDATION,
      'test': ('test',),
    }.items()
    for path in [next((root / n for n in names if (root / n).is_dir()), None)]
    if path is not None
  }
  if not found or ('train' not in found and classes is None):
    inside = sorted(p.name for p in root.iterdir() if p.is_dir())[:_SHOWN]
    raise UserError(
      f'config.dataset.folder: {root} has no folder '
      f'{"train/" if classes is None else "val/ or test/"}, only '
      f'{", ".join(inside) or "files"}. It should hold train/<class>/* and '
      f'val/<class>/*'
    )
  if classes is None:
    class_names = class_folders.names_in(found['train'])
    class_folders.check_alike(found, class_names)
    labels = {name: label for label, name in enumerate(class_names)}
  else:
    class_names, labels = class_folders.match(
      root,
      sorted(set().union(*map(class_folders.names_in, found.values()))),
      classes,
    )
  left_out = folders.LeftOut()
  digest = hashlib.blake2b(digest_size=16)
  splits: dict[str, Records] = {}
  for split, path in found.items():
    splits[split] = class_folders.read(
      path, labels, digest, left_out, some=classes is not None
    )
  folders.log_left_out(str(root), left_out)
  return PictureSet(root.name, root, class_names, splits, digest.hexdigest())


def from_tfds(name: str, data_dir: str) -> PictureSet:
  """A TFDS set of pictures, prepared as TFRecords (its default).

  Raises:
    UserError: TFDS is not installed, knows no such set, or cannot prepare it.
  """
  builder = tfds_sets.prepare(name, data_dir)
  features = builder.info.features
  image, label = builder.info.supervised_keys or (None, None)
  names = getattr(features[label], 'names', None) if label else None
  if image is None or label is None or not names:
    raise UserError(
      f'config.dataset.name: {name} is no set of classified pictures; it has '
      f'{", ".join(features)}'
    )
  digest = hashlib.blake2b(digest_size=16)
  splits: dict[str, Records] = {}
  digest.update('\0'.join(names).encode())
  for split in ('train', 'validation', 'test'):
    # ImageNet's test images have no labels.
    unlabelled = name.startswith('imagenet2012') and split == 'test'
    if split in builder.info.splits and not unlabelled:
      info = builder.info.splits[split]
      records = TFRecords.of(
        [str(path) for path in info.filepaths], image=image, label=label
      )
      if len(records) != info.num_examples:
        raise UserError(
          f'{name}, {split} split: {len(records)} examples in '
          f'{builder.data_dir} where the set has {info.num_examples}. Delete '
          f'that folder and prepare it anew'
        )
      splits[split] = records
      digest.update(records.spans.tobytes())
  if 'train' not in splits:
    raise UserError(f'{name} has no split train')
  return PictureSet(
    name,
    pathlib.Path(str(builder.data_dir)),
    tuple(names),
    splits,
    digest.hexdigest(),
  )


def _hold_out(pictures: PictureSet, examples: int, seed: int) -> PictureSet:
  """Moves `examples` of the training set to a validation split."""
  splits = dict(pictures.splits)
  if examples and 'validation' in splits and 'train' in splits:
    raise UserError(
      f'config.dataset.validation_examples is {examples}, and {pictures.name} '
      f'has a validation split of its own; leave it at 0'
    )
  if 'train' not in splits:  # only tested on
    return pictures
  total = len(splits['train'])
  if examples:
    held, kept = held_out(pictures.name, total, examples, seed)
    splits['validation'] = splits['train'].take(held)
    splits['train'] = splits['train'].take(kept)
  if len(splits) == 1:
    raise UserError(
      f'{pictures.name} has only a train split, and nothing to test on: add '
      f'val/<class>/*, or hold some out with '
      f'--config.dataset.validation_examples={max(1, total // 10)}'
    )
  return dataclasses.replace(pictures, splits=splits)
