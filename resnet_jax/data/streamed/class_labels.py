"""The labels that a checkpoint gives to the class folders of other data."""

import pathlib
from collections.abc import Sequence

from resnet_jax.errors import UserError, did_you_mean

# Names that a message lists at most.
_SHOWN = 5


def match(
  root: pathlib.Path, folders: Sequence[str], classes: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, int]]:
  """The class names of an evaluation, and the label of each class folder.

  A folder's class is that of its name, or the one whose name begins with it:
  imports name ImageNet's classes by id and word, and folders by id alone. Where
  no folder has the name of a class, and there are as many, the order counts.

  Args:
    root: The folder of the data, for messages.
    folders: Names of the class folders, sorted.
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
  found = {name: label_of.get(name, first.get(name, -1)) for name in folders}
  strangers = [name for name, label in found.items() if label < 0]
  if len(strangers) == len(classes) == len(folders):
    names = tuple(sorted(folders, key=str.encode))
    return names, {name: label for label, name in enumerate(names)}
  if strangers or not folders:
    near = did_you_mean(strangers[0], classes) if strangers else ''
    raise UserError(
      f'{root}: {len(strangers)} of {len(folders)} class folders '
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
