"""Degradation and its cure on the digits, with a paragraph that concludes.

The paragraph is written from the numbers, and would say so if they showed the
contrary of what the paper found.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from resnet_jax.paper.curves import by_kind, error_figure, response_blocks
from resnet_jax.paper.markdown import escape, mean_std, number, strong
from resnet_jax.paper.section import Section, how_of, name_of

# Errors in % of the seeds, by depth.
Errors = Mapping[int, Sequence[float]]


def degradation(section: Section) -> list[str]:
  """Figures in the style of Figs. 6 and 7, a table, and the conclusion."""
  there = [one for one in section.selected if one.records]
  if not there:
    return ['Nothing has been run yet; it takes minutes.']
  errors: dict[str, dict[int, list[float]]] = {'plain': {}, 'resnet': {}}
  rows = []
  for one in section.selected:
    kind = 'plain' if 'plain' in one.member.network else 'resnet'
    train = [r.train_error for r in one.records if r.train_error is not None]
    test = [r.error for r in one.records]
    if train:
      errors[kind][one.member.depth] = train
    rows.append(
      [
        name_of(one),
        strong(mean_std(train)),
        strong(mean_std(test)),
        ', '.join(map(number, train)),
        how_of(one, test),
      ]
    )
  if len({one.departures for one in there}) > 1:
    words = (
      'Nothing can be said about degradation: these nets were trained '
      'differently.'
    )
  else:
    words = verdict(errors['plain'], errors['resnet'])
    if there[0].departures:
      words += f' (These runs are shrunk: {there[0].departures}.)'
  every = there[0].records[0].run.configuration().run.log_every
  columns = ['network', '>training', '>test', '>training, by seed', 'ours is']
  caption = 'Errors in % at the end of training'
  return [
    *error_figure(section, by_kind, {}),
    *response_blocks(section, '-responses'),
    *section.table(caption, columns, rows, label=section.training_label),
    f'Training errors are of the last {every} steps, while the weights change.',
    escape(words),
  ]


@dataclasses.dataclass(frozen=True)
class _Change:
  """From one mean error in % to another, with two standard errors in points."""

  before: float
  after: float
  spread: float

  @classmethod
  def between(cls, a: Sequence[float], b: Sequence[float]) -> '_Change':
    variance = statistics.variance(a) / len(a) + statistics.variance(b) / len(b)
    return cls(statistics.fmean(a), statistics.fmean(b), 2 * variance**0.5)

  @property
  def points(self) -> float:
    return self.after - self.before

  @property
  def clear(self) -> bool:
    """Whether the difference stands out from the spread over seeds."""
    return abs(self.points) > self.spread

  def __str__(self) -> str:
    words = f'from {self.before:.2f} to {self.after:.2f} %'
    if self.points == 0:
      return f'{words}, which is no change'
    words += f', {"up" if self.points > 0 else "down"} by'
    words += f' {abs(self.points):.2f} points'
    if self.clear:
      return f'{words}, against {self.spread:.2f} for two standard errors'
    return f'{words}, within two standard errors over seeds ({self.spread:.2f})'


def verdict(plain: Errors, residual: Errors) -> str:
  """A paragraph on the training errors of plain and residual nets."""
  depths = sorted(plain.keys() & residual.keys())
  seeds = [len(errors[d]) for errors in (plain, residual) for d in depths]
  if len(depths) < 2 or min(seeds) < 2:
    return (
      'Nothing can be said about degradation yet: two depths, with two seeds '
      'each, are needed of either kind.'
    )
  shallow, deep = depths[0], depths[-1]
  hurt = _Change.between(plain[shallow], plain[deep])
  kept = _Change.between(residual[shallow], residual[deep])
  cure = _Change.between(plain[deep], residual[deep])
  side = 'below' if cure.points < 0 else 'above'
  return (
    f'From {shallow} to {deep} layers, the training error at the end goes, for '
    f'plain nets, {hurt}; for residual nets, {kept}. At {deep} layers the '
    f'residual net is {abs(cure.points):.2f} points {side} the plain one (two '
    f'standard errors: {cure.spread:.2f}). {_conclusion(hurt, kept)}'
  )


def _conclusion(hurt: _Change, kept: _Change) -> str:
  if not (hurt.clear and hurt.points > 0):
    return (
      'So no degradation of the plain nets stands out here, and nothing for '
      'shortcuts to cure: the finding of the paper is not reproduced by these '
      'runs.'
    )
  # By how much depth may harm the residual nets at the most.
  most = kept.points + kept.spread
  if most < hurt.points / 10 and not (kept.clear and kept.points > 0):
    return (
      'So depth harms the plain nets and not the residual ones: degradation, '
      'and its cure, as the paper has them.'
    )
  if not kept.clear:
    return (
      'So depth harms the plain nets: degradation is seen. Whether it harms '
      'the residual ones, these runs cannot tell.'
    )
  if kept.points < hurt.points / 2:
    return (
      f'So depth harms both, the residual nets '
      f'{100 * kept.points / hurt.points:.0f} % as much: degradation is seen, '
      f'and shortcuts lessen it; they do not remove it here.'
    )
  return (
    'So depth harms both, the residual nets not much less: degradation is '
    'seen, and no cure.'
  )
