"""Which records stand for a network: the full ones, or else the longest."""

import dataclasses
import pathlib
import re

from resnet_jax.errors import UserError
from resnet_jax.paper import records
from resnet_jax.paper.records import Record
from resnet_jax.paper.runs import Member, Scale, expand, stem_of


@dataclasses.dataclass(frozen=True)
class Selected:
  """The records of one network, which differ by their seeds alone.

  Attributes:
    member: the network, as the target declares it.
    records: by rising seed; none where nothing has been run.
    problems: what is damaged or of another run, and was left out.
  """

  member: Member
  records: tuple[Record, ...]
  problems: tuple[str, ...]

  @property
  def departures(self) -> str:
    """In words, what is not as the target declares; '' if nothing, or none."""
    words = {record.departures for record in self.records} - {''}
    return ' | '.join(sorted(words))

  def how(self, seeds: int) -> str:
    """In words: how near to the target are results of so many seeds."""
    if not seeds:
      return 'not run'
    plural = 's' if seeds > 1 else ''
    return f'{self.departures or "in full"}, {seeds} seed{plural}'


def select(root: pathlib.Path, member: Member, scale: Scale) -> Selected:
  """The records of `member` at `scale`.

  Where the scale says neither steps nor data, a full run is preferred, and then
  the longest on the paper's data.

  Raises:
    UserError: the scale means nothing for the member.
  """
  shrunk = scale.steps is not None or scale.dataset is not None
  scales = [scale]
  if not shrunk:
    scales += [Scale(steps=steps) for steps in _steps_there(root, member)]
  problems = []
  for one in scales:
    seeds = scale.seeds or _seeds_there(root, member, one)
    found = []
    for run in expand(member, dataclasses.replace(one, seeds=seeds)):
      try:
        record = records.find(root, run)
      except UserError as e:
        problems.append(str(e))
      else:
        found += [record] if record else []
    if found:
      return Selected(member, tuple(found), tuple(problems))
  return Selected(member, (), tuple(problems))


def _steps_there(root: pathlib.Path, member: Member) -> list[int]:
  """Of shrunk runs on the target's own data, the longest first."""
  pattern = re.compile(re.escape(stem_of(member)) + r'-(\d+)steps-seed\d+')
  matches = [pattern.fullmatch(path.name) for path in _folders(root)]
  full = expand(member, Scale())[0].steps()
  found = {int(m[1]) for m in matches if m}
  return sorted((steps for steps in found if steps < full), reverse=True)


def _seeds_there(root: pathlib.Path, member: Member, scale: Scale) -> int:
  """As many as the target asks for, or more if there are."""
  run = expand(member, dataclasses.replace(scale, seeds=1))[0]
  prefix = run.name.removesuffix('0')
  pattern = re.compile(re.escape(prefix) + r'(\d+)')
  matches = [pattern.fullmatch(path.name) for path in _folders(root)]
  return max([member.seeds, *(int(m[1]) + 1 for m in matches if m)])


def _folders(root: pathlib.Path) -> list[pathlib.Path]:
  return sorted(root.iterdir()) if root.is_dir() else []
