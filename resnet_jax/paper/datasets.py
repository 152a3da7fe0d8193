"""The data of the paper, and what `--dataset` puts in their place."""

import pathlib
from typing import Any

from resnet_jax.errors import UserError

# Training images, test images and classes of the paper's data, by which they
# are known wherever they come from.
PAPER_DATA = {
  'cifar10': (50_000, 10_000, 10),
  'imagenet2012': (1_281_167, 50_000, 1000),
}


def name_of(dataset: str) -> str:
  """The name of a value of `--dataset`: cifar10 for path/cifar10.npz."""
  if not _is_path(dataset):
    return dataset
  path = pathlib.Path(dataset)
  return path.stem if path.stem in PAPER_DATA else path.name


def check(dataset: str) -> None:
  """Refuses a file or folder that is not there, or that holds no images.

  Raises:
    UserError: naming it.
  """
  path = pathlib.Path(dataset)
  usable = path.is_dir() or (path.suffix == '.npz' and path.exists())
  if (_is_path(dataset) or path.exists()) and not usable:
    problem = 'is not such' if path.exists() else 'is not there'
    raise UserError(
      f"--dataset={dataset} {problem}; it can be 'digits', a TFDS name such as "
      f'cifar10, an .npz file, or a folder with train/<class>/* and '
      f'val/<class>/*'
    )


def replacement(
  dataset: str, config: str, network: str, *, pictures: bool
) -> tuple[str, dict[str, Any]]:
  """How a network of a target is trained on other data.

  Args:
    dataset: A value of `--dataset`.
    config: The config file of the network, without its .py.
    network: Its name.
    pictures: Whether it takes pictures of any size.

  Returns:
    The config file to use, and the fields to set in it.

  Raises:
    UserError: the network and the data do not go together.
  """
  path = pathlib.Path(dataset)
  if config == 'digits':
    problem = (
      'this target is of the digits; table6 and fig6 train the same networks '
      'on other data'
    )
  elif dataset == 'digits':
    if network.startswith('cifar_'):
      return 'digits', {'model.name': network}
    problem = (
      f'its images of 8x8 are too small for {network}; it is for the CIFAR '
      f'networks'
    )
  elif path.suffix == '.npz':
    if not pictures:
      return config, {'dataset.npz': str(path.absolute())}
    problem = (
      'an .npz file has images of one size, and the networks of ImageNet want '
      'pictures: a folder, or a TFDS name'
    )
  elif path.is_dir():
    if pictures:
      return config, {'dataset.folder': str(path.absolute())}
    problem = (
      'a folder has pictures of any size, and the CIFAR networks want images '
      'of one size: an .npz file, or a TFDS name'
    )
  else:
    return config, {'dataset.name': dataset}
  raise UserError(f'--dataset={dataset}: {problem}')


def _is_path(dataset: str) -> bool:
  """Whether it is a path; TFDS names may hold a slash, too ('a/160px')."""
  path = pathlib.Path(dataset)
  written_so = dataset.startswith(('/', '.', '~')) or path.suffix == '.npz'
  return written_so or ('/' in dataset and path.exists()) or path.is_dir()
