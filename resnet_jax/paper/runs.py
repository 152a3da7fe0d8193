"""One training run of a table or figure: its config, its seed, its folder."""

import dataclasses
import pathlib
import re
from typing import Any

import ml_collections

from resnet_jax import models
from resnet_jax.config import durations
from resnet_jax.config.file import load_config
from resnet_jax.errors import UserError

# Where runs are kept unless --runs says otherwise.
RUNS = pathlib.Path('runs', 'paper')
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

  def flags(self) -> list[str]:
    """As on the command line."""
    depths = self.depths and ','.join(map(str, self.depths))
    values = {
      'dataset': self.dataset,
      'seeds': self.seeds,
      'steps': self.steps,
      'depths': depths,
    }
    return [
      f'--{name}={value}' for name, value in values.items() if value is not None
    ]


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
    on_paper_data: whether the data go by the name of those that the target is
      about.
  """

  name: str
  suffix: str
  config: str
  overrides: tuple[tuple[str, Any], ...]
  departures: str
  on_paper_data: bool

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
  return load_config(str(CONFIGS / f'{config}.py'))


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
  own = load(member.config)
  own.update_from_flattened_dict(dict(member.overrides))
  full, paper_data = steps_of(own), own.dataset.name
  config, overrides = member.config, dict(member.overrides)
  source, name = scale.dataset, paper_data
  if source is not None and source != paper_data:
    name = dataset_name(source)
    if member.config == 'digits':
      raise UserError(
        f'--dataset={source}: this target is of the digits; table6 and fig6 '
        f'train the same networks on other data'
      )
    if source == 'digits':
      config, overrides = 'digits', _digits(member)
    else:
      overrides |= _dataset_fields(own, source)
  final = load(config)
  final.update_from_flattened_dict(overrides)
  steps = scale.steps or steps_of(final)
  words, suffix = [], ''
  if steps != full:
    of = 'of' if steps < full else 'steps in place of'
    words.append(f'{steps:,} {of} {full:,} steps')
    suffix += f'-{steps}steps'
  if steps != full or steps != steps_of(final):
    overrides |= _short(steps)
  if name != paper_data:
    words.append(f'{name} in place of {paper_data}')
    suffix += f'-{re.sub(r"[^A-Za-z0-9_.]+", "_", name)}'
  seeds = member.seeds if scale.seeds is None else scale.seeds
  return [
    Run(
      name=f'{stem_of(member)}{suffix}-seed{seed}',
      suffix=suffix,
      config=config,
      overrides=tuple({**overrides, 'seed': seed}.items()),
      departures='; '.join(words),
      on_paper_data=name == paper_data,
    )
    for seed in range(seeds)
  ]


def dataset_name(dataset: str) -> str:
  """What to call the value of `--dataset`: cifar10.npz is cifar10."""
  path = pathlib.Path(dataset)
  if not _is_path(dataset):
    return dataset
  return path.stem if path.stem in PAPER_DATA else path.name


def _is_path(dataset: str) -> bool:
  """TFDS names may hold a slash, too, as in 'imagenette/160px'."""
  path = pathlib.Path(dataset)
  written_so = dataset.startswith(('/', '.', '~')) or path.suffix == '.npz'
  return written_so or ('/' in dataset and path.exists()) or path.is_dir()


def stem_of(member: Member) -> str:
  """What the names of its folders begin with."""
  if member.config == 'digits':  # that file serves networks of all names
    return member.network.replace('cifar_', 'digits_')
  return member.config


def check_dataset(dataset: str) -> None:
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


def _short(steps: int) -> dict[str, Any]:
  """A short run has as many points in its curve as a long one."""
  every = max(1, steps // 20)
  return {
    'duration': str(steps),
    'run.eval_every': str(every),
    'run.log_every': min(100, every),
  }


def _digits(member: Member) -> dict[str, Any]:
  """What makes the config `digits` train the network of a member."""
  if not member.network.startswith('cifar_'):
    raise UserError(
      f'--dataset=digits: its images of 8x8 are too small for '
      f'{member.network}; it is for the CIFAR networks'
    )
  return {'model.name': member.network}


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
