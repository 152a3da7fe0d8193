"""One training run of a table or figure: its config, its seed, its folder."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import ml_collections

from resnet_jax import models
from resnet_jax.config import durations, shipped
from resnet_jax.config.file import load_config
from resnet_jax.paper import datasets

# Where runs are kept unless --runs says otherwise.
RUNS = pathlib.Path('runs', 'paper')
CONFIGS = shipped.folder()


@dataclasses.dataclass(frozen=True)
class Scale:
  """The options that narrow or shrink a target; None leaves it as it is.

  Attributes:
    dataset: 'digits', a TFDS name, an .npz file or a folder of pictures.
    seeds: Number of runs of each network.
    steps: Length of each run.
    depths: Layers of the networks that are kept.
  """

  dataset: str | None = None
  seeds: int | None = None
  steps: int | None = None
  depths: tuple[int, ...] | None = None

  def flags(self) -> list[str]:
    """The flags of the command line that mean this scale."""
    values = dataclasses.asdict(self)
    if self.depths:
      values['depths'] = ','.join(map(str, self.depths))
    return [f'--{name}={x}' for name, x in values.items() if x is not None]


@dataclasses.dataclass(frozen=True)
class Member:
  """A network of a target.

  Attributes:
    config: A file of `configs/`, without its .py.
    seeds: Number of runs, with seeds 0, 1, ...
    overrides: Fields that the target sets, by dotted name.
  """

  config: str
  seeds: int = 1
  overrides: tuple[tuple[str, Any], ...] = ()

  @property
  def network(self) -> str:
    """Its name for `models.create`."""
    return _load(self.config, self.overrides).model.name

  @property
  def depth(self) -> int:
    return depth_of(self.network)


@dataclasses.dataclass(frozen=True)
class Run:
  """A member with a seed, shrunk or not.

  Attributes:
    name: Name of its folder.
    suffix: The part of that name that says how it was shrunk; '' if it was not.
    config: A file of `configs/`, without its .py.
    overrides: Fields that are set, by dotted name.
    departures: Words for what differs from the target; '' if nothing does.
    on_paper_data: Whether the data go by the name of those that the target is
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

  def flags(self) -> list[str]:
    """Its config, as flags of `resnet_jax.main`."""
    return [
      f'--config={CONFIGS / self.config}.py',
      *(f'--config.{name}={value}' for name, value in self.overrides),
    ]

  def configuration(self) -> ml_collections.ConfigDict:
    """The config with all overrides.

    Raises:
      UserError: there is no such config file.
    """
    return _load(self.config, self.overrides)

  def image_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of the network's input."""
    config = self.configuration()
    dataset = config.dataset
    if dataset.name == 'digits' and not (dataset.npz or dataset.folder):
      return (8, 8, 1)
    if dataset.crop_size:
      return (dataset.crop_size, dataset.crop_size, 3)
    return models.input_shape(config.model.name)

  def steps(self) -> int:
    """Length of the run, as if its data had the size of the paper's."""
    return _steps_of(self.configuration())


def depth_of(network: str) -> int:
  """Number of layers, by the name of a network."""
  return int(re.findall(r'\d+', network)[-1])


def stem_of(member: Member) -> str:
  """The beginning of the names of its folders."""
  if member.config == 'digits':  # that file serves networks of all names
    return member.network.replace('cifar_', 'digits_')
  return member.config


def expand(member: Member, scale: Scale) -> list[Run]:
  """The runs of a member, at this scale.

  Raises:
    UserError: the scale means nothing for it.
  """
  declared = _load(member.config, member.overrides)
  full, paper_data = _steps_of(declared), declared.dataset.name
  config, overrides = member.config, dict(member.overrides)
  name = paper_data
  if scale.dataset not in (None, paper_data):
    name = datasets.name_of(scale.dataset)
    pictures = bool(declared.dataset.crop_size)
    config, fields = datasets.replacement(
      scale.dataset, config, member.network, pictures=pictures
    )
    overrides |= fields
  own = _steps_of(_load(config, overrides.items()))
  steps = scale.steps or own
  words, suffix = [], ''
  if steps != full:
    of = 'of' if steps < full else 'steps in place of'
    words.append(f'{steps:,} {of} {full:,} steps')
    suffix += f'-{steps}steps'
  if steps != full or steps != own:
    overrides |= _duration(steps)
  if name != paper_data:
    words.append(f'{name} in place of {paper_data}')
    suffix += f'-{re.sub(r"[^A-Za-z0-9_.]+", "_", name)}'
  return [
    Run(
      name=f'{stem_of(member)}{suffix}-seed{seed}',
      suffix=suffix,
      config=config,
      overrides=tuple({**overrides, 'seed': seed}.items()),
      departures='; '.join(words),
      on_paper_data=name == paper_data,
    )
    for seed in range(member.seeds if scale.seeds is None else scale.seeds)
  ]


def _load(
  config: str, overrides: Iterable[tuple[str, Any]]
) -> ml_collections.ConfigDict:
  """The config file of this name, with fields set."""
  content = load_config(str(CONFIGS / f'{config}.py'))
  content.update_from_flattened_dict(dict(overrides))
  return content


def _steps_of(config: ml_collections.ConfigDict) -> int:
  """Length of a run of `config`, as if its data had the paper's size."""
  train = datasets.PAPER_DATA.get(config.dataset.name, (1500, 0, 0))[0]
  return durations.to_steps(
    config.duration, 'duration', steps_per_epoch=train / config.batch_size
  )


def _duration(steps: int) -> dict[str, Any]:
  """Fields of a run of so many steps, with a curve of 20 points."""
  every = max(1, steps // 20)
  return {
    'duration': str(steps),
    'run.eval_every': str(every),
    'run.log_every': min(100, every),
  }
