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
    member: The network, as the target declares it.
    records: By rising seed; none where nothing has been run.
    problems: Error messages of folders that were left out.
  """

  member: Member
  records: tuple[Record, ...]
  problems: tuple[str, ...]

  @property
  def departures(self) -> str:
    """Words for what differs from the target; '' if nothing does."""
    words = {record.departures for record in self.records} - {''}
    return ' | '.join(sorted(words))

  def how(self, seeds: int) -> str:
    """Words for how near results of so many seeds are to the target."""
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
  scales = [scale]
  if scale.steps is None and scale.dataset is None:
    scales += [Scale(steps=steps) for steps in _steps_there(root, member)]
  found: list[Record] = []
  problems: list[str] = []
  for one in scales:
    seeds = scale.seeds or _seeds_there(root, member, one)
    for run in expand(member, dataclasses.replace(one, seeds=seeds)):
      try:
        record = records.find(root, run)
      except UserError as e:
        problems.append(str(e))
      else:
        found += [record] if record else []
    if found:
      break
  return Selected(member, tuple(found), tuple(problems))


def _steps_there(root: pathlib.Path, member: Member) -> list[int]:
  """Lengths of shrunk runs on the target's own data, the longest first."""
  full = expand(member, Scale())[0].steps()
  found = _numbers(root, re.escape(stem_of(member)) + r'-(\d+)steps-seed\d+')
  return sorted((steps for steps in found if steps < full), reverse=True)


def _seeds_there(root: pathlib.Path, member: Member, scale: Scale) -> int:
  """Number of seeds that the target asks for, or more if there are."""
  run = expand(member, dataclasses.replace(scale, seeds=1))[0]
  prefix = re.escape(run.name.removesuffix('0'))
  return max(
    [member.seeds, *(n + 1 for n in _numbers(root, prefix + r'(\d+)'))]
  )


def _numbers(root: pathlib.Path, pattern: str) -> set[int]:
  """The numbers in those names of folders that match."""
  names = [path.name for path in root.iterdir()] if root.is_dir() else []
  matches = [re.fullmatch(pattern, name) for name in names]
  return {int(match[1]) for match in matches if match}
