"""Names of the classes in the order of their labels."""

import logging
import pathlib
from collections.abc import Sequence

from resnet_jax.errors import UserError
from resnet_jax.weights.architecture import Architecture

_log = logging.getLogger('resnet_jax')

_IMAGENET_CLASSES = (
  pathlib.Path(__file__).parent.parent / 'imagenet_classes.txt'
)
_CIFAR10_CLASSES = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
]


def read(path: pathlib.Path | None) -> list[str] | None:
  """The lines of `path`, as editors of any system write them; None of none.

  Raises:
    UserError: it cannot be read.
  """
  if path is None:
    return None
  try:
    text = path.read_text(encoding='utf-8-sig')  # without a byte-order mark
  except (OSError, UnicodeDecodeError) as e:
    raise UserError(
      f'--classes={path} cannot be read: {e}; it must be a text file in UTF-8 '
      f'with one name a line'
    ) from e
  # `splitlines` would also split at characters that no editor shows as a line.
  return [line.strip() for line in text.rstrip().split('\n')]


def check(names: Sequence[str], classes: int, path: pathlib.Path) -> None:
  """Refuses names that are too many, too few or blank; warns of equal ones.

  Raises:
    UserError: saying which.
  """
  if len(names) != classes:
    raise UserError(
      f'there are {len(names)} class names, and the last layer of {path} has '
      f'{classes} classes; give one name a line, in the order of the labels'
    )
  places: dict[str, int] = {}
  for label, name in enumerate(names):
    if not name.strip():
      raise UserError(
        f'the name of class {label} is blank (labels begin at 0); give one '
        f'name a line, in the order of the labels, with --classes=FILE'
      )
    first = places.setdefault(name, label)
    if first != label:
      _log.warning('classes %d and %d are both named %r', first, label, name)


def default(found: Architecture) -> list[str]:
  """Names by label: ImageNet's with WordNet ids, CIFAR-10's, or numbers."""
  if found.num_classes == 1000:
    return _IMAGENET_CLASSES.read_text(encoding='utf-8').splitlines()
  if found.num_classes == 10 and found.network.startswith('cifar_'):
    return _CIFAR10_CLASSES
  return [str(label) for label in range(found.num_classes)]
