"""A target with the records that its section of the report is written from.

The builders in `tables`, `curves` and `degradation` take a `Section` and return
the blocks of its Markdown.
"""

import dataclasses
import os
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from resnet_jax.errors import UserError
from resnet_jax.paper import markdown
from resnet_jax.paper.markdown import escape
from resnet_jax.paper.records import Record, outputs
from resnet_jax.paper.runs import RUNS, Scale, expand
from resnet_jax.paper.selection import Selected
from resnet_jax.paper.targets import Target

_T = TypeVar('_T')


@dataclasses.dataclass(frozen=True)
class Section:
  """What a section is written from.

  Attributes:
    target: The table or figure.
    root: Folder of the runs.
    scale: Which runs are shown.
    figures: Folder to draw in.
    relative_to: Folder that links to figures start from; None: links are the
      paths of the figures.
    selected: Records of each network.
    problems: Damaged records, as they are found while the section is written.
  """

  target: Target
  root: pathlib.Path
  scale: Scale
  figures: pathlib.Path
  relative_to: pathlib.Path | None
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
    if not self.target.members:
      return 'computed from the modules'
    there = [one for one in self.selected if self._finished(one)]
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

  @property
  def by_name(self) -> dict[str, Selected]:
    """The networks by the names that `published` gives them."""
    return {name_of(one): one for one in self.selected}

  def table(
    self,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
  ) -> list[str]:
    """A table below its caption and the label."""
    return [f'**{caption}** {self._tag}', markdown.table(columns, rows)]

  def figure(
    self,
    draw: Callable[[pathlib.Path, str], None],
    alt: str,
    caption: str,
    suffix: str = '',
  ) -> list[str]:
    """Draws a figure as PNG and SVG, and shows it above its caption.

    Args:
      draw: Draws to a path without suffix, with a note below.
      alt: What the figure shows, for those who cannot see it.
      caption: Text below the figure.
      suffix: Name of a second figure of the target.

    Raises:
      UserError: The files cannot be written.
    """
    shrunk = ''.join(flag[1:].replace('=', '') for flag in self.scale.flags())
    shrunk = re.sub(r'[^\w-]+', '_', shrunk)
    stem = self.figures / f'{self.target.name}{suffix}{shrunk}'
    note = '' if self.label == 'in full' else self.label
    try:
      self.figures.mkdir(parents=True, exist_ok=True)
      draw(stem, note)
    except OSError as e:
      raise UserError(
        f'{stem}.png and .svg cannot be written: {e.strerror or e}; make room '
        f'or mend the permissions of that folder'
      ) from e
    file = pathlib.Path(f'{stem}.png')
    if self.relative_to is not None:
      file = pathlib.Path(os.path.relpath(file, self.relative_to))
    link = urllib.parse.quote(file.as_posix())
    return [f'![{escape(alt)}]({link})', f'{caption} {self._tag}']

  def measured(
    self, one: Selected, read: Callable[[Record], _T | None]
  ) -> list[_T]:
    """What `read` finds with each record that is whole."""
    found = (self.whole(read, record) for record in one.records)
    return [content for content in found if content is not None]

  def whole(self, read: Callable[..., _T | None], *arguments: Any) -> _T | None:
    """What `read` returns; None where it is damaged, which `to_run` names."""
    try:
      return read(*arguments)
    except UserError as e:
      self.problems.append(str(e))
      return None

  def to_run(self) -> list[str]:
    """Names what is damaged, and the command for what is not run in full."""
    problems = [text for one in self.selected for text in one.problems]
    blocks = [escape(text) for text in (*problems, *self.problems)]
    whole = all(
      self._finished(one)
      and not one.departures
      and len(one.records) >= one.member.seeds
      for one in self.selected
    )
    if not whole or len(self.selected) < len(self.target.members):
      blocks.append('What is missing, or was not run in full, is run by')
      words = ['python', '-m', 'resnet_jax.paper', 'run', self.target.name]
      words += self.scale.flags()
      if self.root != RUNS:
        words.append(f'--runs={self.root}')
      blocks.append(markdown.command(words))
    return blocks

  @property
  def _tag(self) -> str:
    return f'\\[{escape(self.label)}\\]'

  def _finished(self, one: Selected) -> bool:
    """Whether there are records, and all that the target wants of them."""
    target = self.target
    return bool(one.records) and all(
      file.exists()
      for record in one.records
      for file in outputs(
        record.folder, record.run, target.views, target.measures_responses
      ).values()
    )


def name_of(one: Selected) -> str:
  """Name as the paper prints it, such as 'plain-20' or 'ResNet-34 B'."""
  network = one.member.network
  name = printed_name(network)
  if network in ('resnet18', 'resnet34'):
    config = expand(one.member, Scale(seeds=1))[0].configuration()
    name += f' {config.model.shortcut or "A"}'
  return name


def printed_name(network: str) -> str:
  """Name of a network without its option, such as 'ResNet-20'."""
  words = network.removeprefix('cifar_')
  families = {'plain': 'plain-', 'resnet': 'ResNet-', 'vgg': 'VGG-'}
  families |= {'alexnet': 'AlexNet', 'googlenet': 'GoogLeNet'}
  return re.sub('^[a-z]+', lambda m: families.get(m[0], m[0]), words)


def how_of(one: Selected | None, found: Sequence[Any]) -> str:
  """How near results are to the target; '' for the methods of others."""
  return escape(one.how(len(found))) if one else ''
