"""One training run of a table or figure: its config, its seed, its folder."""

import dataclasses
import pathlib
import re
from typing import Any

import ml_collections

from resnet_jax import config_file, durations, models
from resnet_jax.errors import UserError, did_you_mean

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'

# Training images, test images and classes of the paper's data, by which they
# are known wherever they come from.
PAPER_DATA = {
  'cifar10': (50_000, 10_000, 10),
  'imagenet2012': (1_281_167, 50_000, 1000),
}


@dataclasses.dataclass(frozen=True)
class Scale:
  """What the user narrows or shrinks; None leaves it as the target says.

  Attributes:
    dataset: 'digits', a TFDS name, an .npz file or a folder of pictures.
    seeds: how many of each network.
    steps: of each run.
    depths: of the networks that are kept.
  """

  dataset: str | None = None
  seeds: int | None = None
  steps: int | None = None
  depths: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Member:
  """A network of a target.

  Attributes:
    config: a file of `configs/`, without its .py.
    seeds: how many runs, with seeds 0, 1, ...
    overrides: fields that a target sets, by dotted name.
  """

  config: str
  seeds: int = 1
  overrides: tuple[tuple[str, Any], ...] = ()

  @property
  def network(self) -> str:
    """As `models.create` knows it."""
    return dict(self.overrides).get('model.name', load(self.config).model.name)

  @property
  def depth(self) -> int:
    return depth_of(self.network)


@dataclasses.dataclass(frozen=True)
class Run:
  """A member with a seed, shrunk or not.

  Attributes:
    name: of its folder.
    suffix: what in that name says how it was shrunk; '' if it was not.
    config: a file of `configs/`, without its .py.
    overrides: fields that are set, by dotted name.
    departures: in words, what is not as the target declares; '' if nothing.
  """

  name: str
  suffix: str
  config: str
  overrides: tuple[tuple[str, Any], ...]
  departures: str

  @property
  def seed(self) -> int:
    return dict(self.overrides)['seed']

  @property
  def file(self) -> pathlib.Path:
    return CONFIGS / f'{self.config}.py'

  def flags(self) -> list[str]:
    """For the command line of `resnet_jax.main`."""
    return [f'--config.{name}={value}' for name, value in self.overrides]

  def configuration(self) -> ml_collections.ConfigDict:
    """With all its overrides.

    Raises:
      UserError: there is no such config file.
    """
    config = load(self.config)
    config.update_from_flattened_dict(dict(self.overrides))
    return config

  def image_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of what the network is given."""
    dataset = self.configuration().dataset
    if dataset.name == 'digits' and not (dataset.npz or dataset.folder):
      return (8, 8, 1)
    if dataset.crop_size:
      return (dataset.crop_size, dataset.crop_size, 3)
    return models.input_shape(self.configuration().model.name)

  def steps(self) -> int:
    """Of the whole run; of data of another size, as if of the paper's."""
    config = self.configuration()
    return steps_of(config)


def depth_of(network: str) -> int:
  """Layers, by the name of a network."""
  return int(re.search(r'(\d+)$', network)[1])


def load(config: str) -> ml_collections.ConfigDict:
  """The config file of this name.

  Raises:
    UserError: it is not there, as where only the package was installed.
  """
  if not CONFIGS.is_dir():
    raise UserError(
      f'the config files are not beside the package, in {CONFIGS}; run the '
      f'paper from a clone of the repository, or install it with pip -e'
    )
  return config_file.load(str(CONFIGS / f'{config}.py'))


def steps_of(config: ml_collections.ConfigDict) -> int:
  """Of a whole run of `config`, whose data have the paper's size."""
  train = PAPER_DATA.get(config.dataset.name, (1500, 0, 0))[0]
  return durations.to_steps(
    config.duration, 'duration', steps_per_epoch=train / config.batch_size
  )


def expand(member: Member, scale: Scale) -> list[Run]:
  """The runs of a member, at this scale.

  Raises:
    UserError: the scale means nothing for it.
  """
  config, overrides = member.config, dict(member.overrides)
  own = load(config)
  own.update_from_flattened_dict(overrides)
  full = steps_of(own)
  words, suffix = [], ''
  if scale.steps is not None and scale.steps != full:
    overrides['duration'] = str(scale.steps)
    # A short run has as many points in its curve as a long one.
    overrides['run.eval_every'] = str(max(1, scale.steps // 20))
    overrides['run.log_every'] = max(1, min(100, scale.steps // 20))
    words.append(f'{scale.steps:,} of {full:,} steps')
    suffix += f'-{scale.steps}steps'
  dataset = own.dataset.name
  if scale.dataset is not None and dataset_name(scale.dataset) != dataset:
    name = dataset_name(scale.dataset)
    if name == 'digits':
      overrides = _digits(member, overrides)
      config = 'digits'
    words.append(f'{name} in place of {dataset}')
    suffix += f'-{name}'
  if scale.dataset is not None and config != 'digits':
    overrides |= _dataset_fields(own, scale.dataset)
  seeds = member.seeds if scale.seeds is None else scale.seeds
  return [
    Run(
      f'{stem_of(member)}{suffix}-seed{seed}',
      suffix,
      config,
      tuple({**overrides, 'seed': seed}.items()),
      '; '.join(words),
    )
    for seed in range(seeds)
  ]


def dataset_name(dataset: str) -> str:
  """What to call the value of `--dataset`."""
  return pathlib.Path(dataset).stem or dataset


def stem_of(member: Member) -> str:
  """What the names of its folders begin with."""
  if member.config == 'digits':  # that file serves networks of all names
    return member.network.replace('cifar_', 'digits_')
  return member.config


def check_dataset(dataset: str) -> None:
  """Refuses a file or folder that is not there.

  Raises:
    UserError: naming it.
  """
  path = pathlib.Path(dataset)
  looks_like_path = '/' in dataset or path.suffix
  if looks_like_path and not path.exists():
    raise UserError(
      f'--dataset={dataset}: there is no such file or folder; it can be '
      f"'digits', a TFDS name such as cifar10, an .npz file, or a folder with "
      f'train/<class>/* and val/<class>/*{did_you_mean(dataset, ["digits"])}'
    )


def _digits(member: Member, overrides: dict[str, Any]) -> dict[str, Any]:
  if not member.network.startswith('cifar_'):
    raise UserError(
      f'--dataset=digits: its images of 8x8 are too small for '
      f'{member.network}; it is for the CIFAR networks'
    )
  kept = {
    k: v for k, v in overrides.items() if k.startswith(('duration', 'run.'))
  }
  return kept | {'model.name': member.network}


def _dataset_fields(
  own: ml_collections.ConfigDict, dataset: str
) -> dict[str, Any]:
  path = pathlib.Path(dataset)
  pictures = bool(own.dataset.crop_size)
  if path.suffix == '.npz':
    if pictures:
      raise UserError(
        f'--dataset={dataset}: an .npz file has images of one size, and the '
        f'networks of ImageNet want pictures: a folder, or a TFDS name'
      )
    return {'dataset.npz': str(path.absolute())}
  if path.is_dir():
    if not pictures:
      raise UserError(
        f'--dataset={dataset}: a folder has pictures of any size, and the '
        f'CIFAR networks want images of one size: an .npz file, or a TFDS name'
      )
    return {'dataset.folder': str(path.absolute())}
  return {'dataset.name': dataset}
