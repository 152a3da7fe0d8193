"""The class folders of a split: their names, labels and pictures."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnet_jax.data.streamed import folders
from resnet_jax.data.streamed.pillow import SUFFIXES
from resnet_jax.data.streamed.records import FileRecords
from resnet_jax.errors import UserError, did_you_mean

# Names that a message lists at most.
_SHOWN = 5


def names_in(split: pathlib.Path) -> tuple[str, ...]:
  """Names of the class folders, by their bytes.

  Raises:
    UserError: one is not UTF-8.
  """
  with os.scandir(split) as entries:
    names = [e.name for e in entries if e.is_dir() and e.name[0] != '.']
  for name in names:
    check_name(split / name)
  return tuple(sorted(names, key=os.fsencode))


def check_name(folder: pathlib.Path) -> None:
  """Refuses a name that no record, table or message could repeat.

  Raises:
    UserError: it is not UTF-8.
  """
  try:
    str(folder).encode()
  except UnicodeEncodeError as e:
    shown = os.fsencode(folder).decode('utf-8', 'backslashreplace')
    raise UserError(
      f'config.dataset.folder: the folder name {shown} is not UTF-8, and '
      f'records and tables of classes have to repeat it; rename the folder'
    ) from e


def check_alike(
  found: Mapping[str, pathlib.Path], class_names: tuple[str, ...]
) -> None:
  """Refuses fewer than two classes, and splits that do not have the same.

  Args:
    found: The folders of the splits; one is train.
    class_names: The names of the training classes.

  Raises:
    UserError: naming what is missing or too many.
  """
  train = found['train']
  if len(class_names) < 2:
    raise UserError(
      f'{train} has {len(class_names)} class folders'
      f'{f" ({class_names[0]})" if class_names else ""}; to tell classes apart '
      f'there must be two at least, each a folder with its pictures'
    )
  for split in found.values():
    here = names_in(split)
    missing = [n for n in class_names if n not in here]
    extra = [n for n in here if n not in class_names]
    if missing or extra:
      near = did_you_mean(extra[0], missing) if extra else ''
      words = [
        f'{len(names)} {what} ({", ".join(names[:_SHOWN])})'
        for names, what in (
          (missing, 'are missing'),
          (extra, 'are not in train'),
        )
        if names
      ]
      raise UserError(
        f'{split} and {train} must have the same class folders; of those in '
        f'{split.name}/, {" and ".join(words)}{near}'
      )


def match(
  root: pathlib.Path, names: Sequence[str], classes: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, int]]:
  """The class names of an evaluation, and the label of each class folder.

  A folder's class is that of its name, or the one whose name begins with it:
  imports name ImageNet's classes by id and word, and folders by id alone. Where
  no folder has the name of a class, and there are as many, the order counts.

  Args:
    root: The folder of the data, for messages.
    names: Names of the class folders, sorted.
    classes: Names of the checkpoint's classes, by label.

  Raises:
    UserError: some folders are of no class, or two are of the same.
  """
  words = [name.split()[0] for name in classes if name.split()]
  first = {
    name.split()[0]: label
    for label, name in enumerate(classes)
    if name.split() and words.count(name.split()[0]) == 1
  }
  label_of = {name: label for label, name in enumerate(classes)}
  found = {name: label_of.get(name, first.get(name, -1)) for name in names}
  strangers = [name for name, label in found.items() if label < 0]
  if len(strangers) == len(classes) == len(names):
    ordered = tuple(sorted(names, key=str.encode))
    return ordered, {name: label for label, name in enumerate(ordered)}
  if strangers or not names:
    near = did_you_mean(strangers[0], classes) if strangers else ''
    raise UserError(
      f'{root}: {len(strangers)} of {len(names)} class folders '
      f'({", ".join(strangers[:_SHOWN])}) are no classes of the checkpoint, '
      f'which has {len(classes)} ({", ".join(classes[:_SHOWN])}, ...){near}. '
      f'Rename or remove them: the labels are those of the checkpoint'
    )
  by_label = {label: name for name, label in found.items()}
  if len(by_label) < len(found):
    double = next(n for n, label in found.items() if by_label[label] != n)
    raise UserError(
      f'{root}: the class folders {double} and {by_label[found[double]]} are '
      f'both of the class {classes[found[double]]!r}; merge them'
    )
  return tuple(classes), found


def read(
  split: pathlib.Path,
  labels: Mapping[str, int],
  digest: Any,
  left_out: folders.LeftOut,
  *,
  some: bool,
) -> FileRecords:
  """The pictures of a split, by class and name; adds them to the digest.

  Args:
    split: The folder.
    labels: The label of each class.
    digest: The hash.
    left_out: Counts what is not read.
    some: Whether some of the classes suffice.

  Raises:
    UserError: there are no pictures, or a class has none.
  """
  paths, numbers = [], []
  folders.count_loose(str(split), left_out)
  for name in sorted(labels, key=os.fsencode):
    folder = split / name
    if some and not folder.is_dir():
      continue
    here = folders.LeftOut()
    files = folders.pictures_in(str(folder), here)
    left_out.update(here)
    if not files and not some:
      raise UserError(
        f'{folder} holds no picture ({", ".join(SUFFIXES)}), only '
        f'{here.total()} other files. Put some there, or remove the folder '
        f'from all splits'
      )
    for file, size in files:
      digest.update(
        b'%s/%s/%s %d\n' % (split.name.encode(), name.encode(), file, size)
      )
      paths.append(os.path.join(os.fsencode(folder), file))
      numbers.append(labels[name])
  if not paths:
    raise UserError(f'{split} holds no picture ({", ".join(SUFFIXES)})')
  return FileRecords(np.array(paths, object), np.array(numbers, np.int32))
