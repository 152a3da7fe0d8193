"""The tables and figures, and the runs that each is made of."""

import dataclasses

from resnet_jax.errors import UserError, did_you_mean
from resnet_jax.paper.runs import Member, Run, Scale, expand


@dataclasses.dataclass(frozen=True)
class Target:
  """A table or a figure.

  Attributes:
    name: Its name on the command line.
    title: The subject.
    members: The networks that are trained for it; none where it is computed
      from the modules alone.
    views: Views that they are tested on, besides the test in the loop.
    ensemble: Whether they are also tested together.
    measures_responses: Whether the responses of layers are measured, with seed
      0.
    one_core: Whether its networks are too small to gain from a second core.
    label: Words for readers when all of it has been run.
  """

  name: str
  title: str
  members: tuple[Member, ...] = ()
  views: str | None = None
  ensemble: bool = False
  measures_responses: bool = False
  one_core: bool = False
  label: str = 'in full'


def _cifar(kind: str, *depths: int) -> tuple[Member, ...]:
  return tuple(Member(f'cifar_{kind}{depth}') for depth in depths)


def _imagenet(*names: str) -> tuple[Member, ...]:
  return tuple(Member(f'imagenet_{name}') for name in names)


def _digits(kind: str, *depths: int) -> tuple[Member, ...]:
  """Short runs of what Sec. 4.2 does, for a laptop.

  64 examples are one BN group of the paper's; 25 of their steps are an epoch,
  so that a record of training is over all examples.
  """
  fields = {
    'batch_size': 64,
    'duration': '300',
    'run.log_every': 25,
    'run.eval_every': '50',
  }
  return tuple(
    Member(
      'digits',
      seeds=3,
      overrides=(('model.name', f'cifar_{kind}{depth}'), *fields.items()),
    )
    for depth in depths
  )


# Tables 3 and 4, from 34 layers with option B on.
_DEEP = ('resnet34_b', 'resnet34_c', 'resnet50', 'resnet101', 'resnet152')

_ALL = (
  Target('table1', 'Architectures for ImageNet, their size and arithmetic'),
  Target(
    'table2',
    'Plain and residual nets on ImageNet, 10-crop',
    _imagenet('plain18', 'plain34', 'resnet18', 'resnet34'),
    views='ten_crop',
  ),
  Target(
    'table3',
    'ImageNet validation errors, 10-crop',
    _imagenet('plain34', 'resnet34', *_DEEP),
    views='ten_crop',
  ),
  Target(
    'table4',
    'ImageNet validation errors of single models, dense at five scales',
    _imagenet(*_DEEP),
    views='dense',
  ),
  Target(
    'table5',
    'Six models of different depths together, dense at five scales',
    (*_imagenet(*_DEEP[:-1]), Member('imagenet_resnet152', seeds=2)),
    views='dense',
    ensemble=True,
  ),
  Target(
    'table6',
    'CIFAR-10 test errors',
    (
      *_cifar('resnet', 20, 32, 44, 56),
      Member('cifar_resnet110', seeds=5),
      *_cifar('resnet', 1202),
    ),
  ),
  Target(
    'fig1',
    'Training and test error of plain nets of 20 and 56 layers on CIFAR-10',
    _cifar('plain', 20, 56),
  ),
  Target('fig3', 'VGG-19, the plain net and the residual net of 34 layers'),
  Target(
    'fig4',
    'Training on ImageNet: plain and residual nets of 18 and 34 layers',
    _imagenet('plain18', 'plain34', 'resnet18', 'resnet34'),
  ),
  Target(
    'fig6',
    'Training on CIFAR-10: plain nets, residual nets, and very deep ones',
    (
      *_cifar('plain', 20, 32, 44, 56),
      *_cifar('resnet', 20, 32, 44, 56, 110, 1202),
    ),
  ),
  Target(
    'fig7',
    'Standard deviations of layer responses on CIFAR-10',
    (*_cifar('plain', 20, 56), *_cifar('resnet', 20, 56, 110)),
    measures_responses=True,
  ),
  Target(
    'degradation',
    'The finding of the paper, on 1,797 digits, in minutes',
    (*_digits('plain', 20, 32, 44, 56), *_digits('resnet', 20, 32, 44, 56)),
    measures_responses=True,
    one_core=True,
    label='300 steps of 64 on digits of 8x8 pixels; not in the paper',
  ),
)
TARGETS = {target.name: target for target in _ALL}


def find(name: str) -> Target:
  """The target of this name.

  Raises:
    UserError: there is none.
  """
  if name not in TARGETS:
    raise UserError(
      f'there is no target {name!r}{did_you_mean(name, TARGETS)}; there are '
      f'{", ".join(TARGETS)}'
    )
  return TARGETS[name]


def members_of(target: Target, scale: Scale) -> list[Member]:
  """The members that `scale` leaves.

  Raises:
    UserError: it leaves none, or is of a target without members.
  """
  if not target.members and scale != Scale():
    raise UserError(
      f'{target.name} is computed from the modules; there is nothing of it to '
      f'narrow or to shrink'
    )
  there = {member.depth for member in target.members}
  for depth in scale.depths or ():
    if depth not in there:
      raise UserError(
        f'--depths: {target.name} has no network of {depth} layers; it has '
        f'{", ".join(map(str, sorted(there)))}'
      )
  return [
    member
    for member in target.members
    if scale.depths is None or member.depth in scale.depths
  ]


def in_order(target: Target, scale: Scale) -> list[Run]:
  """All runs, seed by seed: a target that was cut shows all its networks.

  Raises:
    UserError: the scale leaves no runs, or means nothing for the target.
  """
  members = members_of(target, scale)
  runs = [run for member in members for run in expand(member, scale)]
  return sorted(runs, key=lambda run: run.seed)
