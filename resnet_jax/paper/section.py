"""A target with the records that its section of the report is written from.

The builders in `tables`, `curves` and `degradation` take a `Section` and return
the blocks of its Markdown.
"""

import dataclasses
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from resnet_jax.errors import UserError
from resnet_jax.paper import markdown, records
from resnet_jax.paper.markdown import escape
from resnet_jax.paper.published import printed_name
from resnet_jax.paper.records import Record
from resnet_jax.paper.runs import RUNS, Member, Scale, expand, stem_of
from resnet_jax.paper.targets import Target

_T = TypeVar('_T')


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


@dataclasses.dataclass(frozen=True)
class Section:
  """A target, the records of its networks, and where to draw.

  Attributes:
    target: The table or figure.
    root: Folder of the runs.
    scale: Which runs are shown.
    folder: Folder that links to figures start from; they are in `figures`.
    selected: Records of each network.
    problems: Damaged records, as they are found while the section is written.
  """

  target: Target
  root: pathlib.Path
  scale: Scale
  folder: pathlib.Path
  selected: tuple[Selected, ...]
  problems: list[str] = dataclasses.field(default_factory=list)

  @property
  def title(self) -> str:
    """The heading, such as 'Table 6: CIFAR-10 test errors'."""
    name = re.sub('^table', 'Table ', self.target.name)
    name = re.sub('^fig', 'Fig. ', name)
    return f'{name[0].upper()}{name[1:]}: {self.target.title}'

  @property
  def label(self) -> str:
    """How near what is shown is to what the target declares.

    It stands with the heading, each table and each figure, so that none is
    quoted without it.
    """
    return self._label(self._finished)

  @property
  def training_label(self) -> str:
    """The same for what needs no test or measurement after training."""
    return self._label(lambda one: bool(one.records))

  @property
  def by_name(self) -> dict[str, Selected]:
    """The networks by the names that `published` gives them."""
    return {name_of(one): one for one in self.selected}

  def table(
    self,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    label: str = '',
  ) -> list[str]:
    """A table below its caption and the label, or another that is given."""
    tag = escape(label or self.label)
    return [f'**{caption}** \\[{tag}\\]', markdown.table(columns, rows)]

  def figure(
    self,
    draw: Callable[[pathlib.Path, str], None],
    alt: str,
    caption: str,
    *,
    suffix: str = '',
    label: str = '',
  ) -> list[str]:
    """Draws a figure as PNG and SVG, and shows it above its caption.

    Args:
      draw: Draws to a path without suffix, with a note below.
      alt: What the figure shows, for those who cannot see it.
      caption: Text below the figure.
      suffix: Name of a second figure of the target.
      label: Label in place of the section's.

    Raises:
      UserError: The files cannot be written.
    """
    shrunk = ''.join(flag[1:].replace('=', '') for flag in self.scale.flags())
    shrunk = re.sub(r'[^\w-]+', '_', shrunk)
    stem = self.folder / 'figures' / f'{self.target.name}{suffix}{shrunk}'
    label = label or self.label
    try:
      stem.parent.mkdir(parents=True, exist_ok=True)
      draw(stem, '' if label == 'in full' else label)
    except OSError as e:
      raise UserError(
        f'{stem}.png and .svg cannot be written: {e.strerror or e}; make room '
        f'or mend the permissions of that folder'
      ) from e
    link = urllib.parse.quote(f'figures/{stem.name}.png')
    return [f'![{escape(alt)}]({link})', f'{caption} \\[{escape(label)}\\]']

  def measured(
    self, one: Selected, read: Callable[[Record], _T | None]
  ) -> list[_T]:
    """The findings of `read` in each record that is whole."""
    found = (self.whole(read, record) for record in one.records)
    return [content for content in found if content is not None]

  def whole(self, read: Callable[..., _T | None], *arguments: Any) -> _T | None:
    """The result of `read`; None, and a problem, where a file is damaged."""
    try:
      return read(*arguments)
    except UserError as e:
      self.problems.append(str(e))
      return None

  def to_run(self) -> list[str]:
    """Names what is damaged, and the command for what is not run in full."""
    problems = [text for one in self.selected for text in one.problems]
    blocks = [escape(text) for text in (*problems, *self.problems)]
    if self.target.members and self.label != self.target.label:
      blocks.append('What is missing, or was not run in full, is run by')
      words = ['python', '-m', 'resnet_jax.paper', 'run', self.target.name]
      words += self.scale.flags()
      if self.root != RUNS:
        words.append(f'--runs={self.root}')
      blocks.append(markdown.command(words))
    return blocks

  def _label(self, finished: Callable[[Selected], bool]) -> str:
    if not self.target.members:
      return 'computed from the modules'
    there = [one for one in self.selected if finished(one)]
    if not there:
      return 'not run'
    words = ' | '.join(sorted({one.departures for one in there} - {''}))
    text = self.target.label
    if words:
      text = f'{"changed" if "in place of" in words else "shrunk"}: {words}'
    if len(there) < len(self.target.members):
      text += f'; {len(there)} of {len(self.target.members)} networks'
    if any(len(one.records) < one.member.seeds for one in there):
      text += '; fewer seeds than declared'
    return text

  def _finished(self, one: Selected) -> bool:
    """Whether there are records, and all that the target wants of them."""
    return bool(one.records) and not any(
      records.missing(self.root, record.run, self.target)
      for record in one.records
    )


def name_of(one: Selected) -> str:
  """Name as the paper prints it, such as 'plain-20' or 'ResNet-34 B'."""
  network = one.member.network
  name = printed_name(network)
  if network in ('resnet18', 'resnet34'):
    config = expand(one.member, Scale(seeds=1))[0].configuration()
    name += f' {config.model.shortcut or "A"}'
  return name


def how_of(one: Selected | None, found: Sequence[Any]) -> str:
  """How near results of each seed are to the target; '' for others' methods."""
  if one is None:
    return ''
  if not found:
    return 'not run'
  plural = 's' if len(found) > 1 else ''
  return escape(f'{one.departures or "in full"}, {len(found)} seed{plural}')


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
