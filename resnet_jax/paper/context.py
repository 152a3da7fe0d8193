"""What all sections of the report are made with: records, cells, figures."""

import dataclasses
import pathlib
import re
import shlex
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from resnet_jax.errors import UserError
from resnet_jax.paper import published
from resnet_jax.paper.document import (
  Cell,
  Command,
  Figure,
  difference,
  mean_std,
  number,
)
from resnet_jax.paper.records import Record, outputs
from resnet_jax.paper.runs import RUNS, Scale, expand
from resnet_jax.paper.selection import Selected
from resnet_jax.paper.targets import Target

_COMMAND = ('python', '-m', 'resnet_jax.paper')
PERCENT = 'errors in %'


@dataclasses.dataclass(frozen=True)
class Context:
  """What a section is made from.

  Attributes:
    target: the table or figure.
    root: the folder of the runs.
    scale: which of them.
    figures: a folder to draw in.
    selected: the records of each network.
    problems: what of them turned out to be damaged.
  """

  target: Target
  root: pathlib.Path
  scale: Scale
  figures: pathlib.Path
  selected: tuple[Selected, ...]
  problems: list[str] = dataclasses.field(default_factory=list)

  @property
  def label(self) -> str:
    """How near what is shown is to what the target declares."""
    there = [one for one in self.selected if self.finished(one)]
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

  def finished(self, one: Selected) -> bool:
    """Whether there are records, and all that the target wants of them."""
    target = self.target
    return bool(one.records) and all(
      file.exists()
      for record in one.records
      for file in outputs(
        record.folder, record.run, target.views, target.measures_responses
      ).values()
    )

  @property
  def note(self) -> str:
    """The label, for figures that need one to be read rightly."""
    return '' if self.label == 'in full' else self.label

  def figure(
    self,
    draw_it: Callable[[pathlib.Path], None],
    alt: str,
    caption: str,
    suffix: str = '',
  ) -> Figure:
    """Draws it, as PNG and SVG; `suffix` is for a second one of a target."""
    shrunk = ''.join(flag[1:].replace('=', '') for flag in self.scale.flags())
    shrunk = re.sub(r'[^\w-]+', '_', shrunk)
    stem = self.figures / f'{self.target.name}{suffix}{shrunk}'
    try:
      self.figures.mkdir(parents=True, exist_ok=True)
      draw_it(stem)
    except OSError as e:
      raise UserError(
        f'{stem}.png and .svg cannot be written: {e.strerror or e}; make room '
        f'or mend the permissions of that folder'
      ) from e
    return Figure(stem, alt, caption, self.command('show'))

  def measured(self, one: Selected, read: Callable[[Record], Any]) -> list[Any]:
    """What `read` finds with each record; `missing` names what is damaged."""
    found = (self.whole(read, record) for record in one.records)
    return [content for content in found if content is not None]

  def whole(self, read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` returns; None, and a problem, where that is damaged."""
    try:
      return read(*arguments)
    except UserError as e:
      self.problems.append(str(e))
      return None

  def command(self, verb: str) -> str:
    """That does it with the same runs."""
    words = [*_COMMAND, verb, self.target.name, *self.scale.flags()]
    if self.root != RUNS:
      words.append(f'--runs={self.root}')
    return shlex.join(words)

  def missing(self) -> list[str | Command]:
    """How to get what has not been run in full, and what was left out."""
    notes: list[str | Command] = [
      problem for one in self.selected for problem in one.problems
    ]
    notes += self.problems
    whole = all(
      self.finished(one)
      and not one.departures
      and len(one.records) >= one.member.seeds
      for one in self.selected
    )
    if not whole or len(self.selected) < len(self.target.members):
      notes.append('What has not been run in full is run, or gone on with, by')
      notes.append(Command(self.command('run')))
    return notes


def key_of(one: Selected) -> published.Key:
  """Where `published` has this network."""
  network = one.member.network
  config = expand(one.member, Scale(seeds=1))[0].configuration()
  return published.key(network, config.model.shortcut)


def label_of(one: Selected) -> str:
  """As the paper writes its name."""
  return printed_name(one.member.network)


def printed_name(network: str) -> str:
  """As the paper writes it, such as ResNet-20 of cifar_resnet20."""
  words = network.removeprefix('cifar_')
  return words.replace('plain', 'plain-').replace('resnet', 'ResNet-')


def how_of(one: Selected | None, found: Sequence[Any]) -> str:
  """What stands in the last column: nothing for the methods of others."""
  if one is None:
    return ''
  return one.how(len(found))


def pair(paper: float | None, fractions: Sequence[float]) -> list[Cell]:
  """The paper's, ours and the difference."""
  values = [100 * fraction for fraction in fractions]
  return [
    cell_of(paper, 'paper', 2),
    Cell(mean_std(values), 'ours' if values else 'missing'),
    Cell(difference(mean(values), paper), 'difference'),
  ]


def against(
  reading: published.Reading | None, values: Sequence[float]
) -> list[Cell]:
  """The paper's reading, ours and the difference."""
  exact = reading is not None and reading.relation == '='
  paper = reading.value if exact else None
  return [
    Cell(str(reading), 'paper') if reading else cell_of(None, 'paper', 2),
    Cell(mean_std(values), 'ours' if values else 'missing'),
    Cell(difference(mean(values), paper), 'difference'),
  ]


def cell_of(value: float | None, kind: Any, digits: int) -> Cell:
  """A number, or a dash for None."""
  return Cell(number(value, digits), 'missing' if value is None else kind)


def mean(values: Sequence[float]) -> float | None:
  """None of no values."""
  return statistics.fmean(values) if values else None
