"""What the numbers say about degradation, in words, whatever they say."""

import dataclasses
import itertools
import statistics
from collections.abc import Mapping, Sequence

# Errors in % of the seeds, by depth.
Errors = Mapping[int, Sequence[float]]

# Two means differ where they are so many of their standard errors apart.
_CLEAR = 2.0


@dataclasses.dataclass(frozen=True)
class Change:
  """From the shallowest to the deepest net of a kind.

  Attributes:
    shallow, deep: layers.
    before, after: mean errors in %.
    spread: the standard error of the difference of the means, in points.
    falls: how often one more step in depth makes the mean error smaller or
      leaves it, of `steps`.
    steps: from one depth to the next.
  """

  shallow: int
  deep: int
  before: float
  after: float
  spread: float
  falls: int
  steps: int

  @property
  def rise(self) -> float:
    return self.after - self.before

  @property
  def clear(self) -> bool:
    """Whether the difference stands out from the spread over seeds."""
    return abs(self.rise) > _CLEAR * self.spread

  def __str__(self) -> str:
    words = (
      f'from {self.shallow} to {self.deep} layers, the training error at the '
      f'end goes from {self.before:.2f} to {self.after:.2f} %'
    )
    direction = 'up' if self.rise > 0 else 'down'
    if self.rise == 0:
      return f'{words}, which is no change'
    words += f', {direction} by {abs(self.rise):.2f} points'
    if not self.clear:
      return (
        f'{words}, which is within the spread over seeds '
        f'({_CLEAR:g} standard errors are {_CLEAR * self.spread:.2f} points)'
      )
    return (
      f'{words}, against {_CLEAR * self.spread:.2f} for two standard errors '
      f'over seeds'
    )


def change(errors: Errors) -> Change:
  """Of a kind of nets, of at least two depths and two seeds each.

  Raises:
    ValueError: there are fewer.
  """
  depths = sorted(errors)
  if len(depths) < 2 or min(len(errors[d]) for d in depths) < 2:
    raise ValueError('two depths, with two seeds each, are needed')
  means = [statistics.fmean(errors[d]) for d in depths]
  ends = (errors[depths[0]], errors[depths[-1]])
  return Change(
    shallow=depths[0],
    deep=depths[-1],
    before=means[0],
    after=means[-1],
    spread=_standard_error(*ends),
    falls=sum(b <= a for a, b in itertools.pairwise(means)),
    steps=len(depths) - 1,
  )


def verdict(plain: Errors, residual: Errors) -> str:
  """A paragraph on the training errors of plain and residual nets.

  It says what is to be seen, and so would it if that were the contrary of what
  the paper found.
  """
  common = sorted(plain.keys() & residual.keys())
  try:
    hurt, kept = (
      change({depth: errors[depth] for depth in common})
      for errors in (plain, residual)
    )
  except ValueError as e:
    return f'Nothing can be said about degradation yet: {e}, of either kind.'
  sentences = [
    f'Plain nets: {hurt}{_every_step(hurt)}.',
    f'Residual nets: {kept}{_every_step(kept)}.',
  ]
  sentences.append(_gap(common[-1], plain, residual))
  return ' '.join([*sentences, _conclusion(hurt, kept)])


def _every_step(one: Change) -> str:
  if one.steps == 1:
    return ''
  rises = one.steps - one.falls
  return f' (it rises in {rises} of {one.steps} steps of depth)'


def _gap(depth: int, plain: Errors, residual: Errors) -> str:
  gap = statistics.fmean(plain[depth]) - statistics.fmean(residual[depth])
  spread = _CLEAR * _standard_error(plain[depth], residual[depth])
  if abs(gap) <= spread:
    return (
      f'At {depth} layers the two differ by {abs(gap):.2f} points, within '
      f'two standard errors ({spread:.2f}).'
    )
  side = 'below' if gap > 0 else 'above'
  return (
    f'At {depth} layers the residual net is {abs(gap):.2f} points {side} the '
    f'plain one (two standard errors: {spread:.2f}).'
  )


def _conclusion(hurt: Change, kept: Change) -> str:
  if not (hurt.clear and hurt.rise > 0):
    return (
      'So no degradation of the plain nets stands out here, and nothing for '
      'shortcuts to cure: the finding of the paper is not reproduced by these '
      'runs.'
    )
  # What the residual nets may be harmed by, at the most.
  most = kept.rise + _CLEAR * kept.spread
  if most < hurt.rise / 10 and not (kept.clear and kept.rise > 0):
    return (
      'So depth harms the plain nets and not the residual ones: degradation, '
      'and its cure, as the paper has them.'
    )
  if not kept.clear:
    return (
      'So depth harms the plain nets: degradation is seen. Whether it harms '
      'the residual ones, these runs cannot tell.'
    )
  if kept.rise < hurt.rise / 2:
    share = 100 * kept.rise / hurt.rise
    return (
      f'So depth harms both, the residual nets {share:.0f} % as much: '
      f'degradation is seen, and shortcuts lessen it; they do not remove it '
      f'here.'
    )
  return (
    'So depth harms both, the residual nets not much less: degradation is '
    'seen, and no cure.'
  )


def _standard_error(a: Sequence[float], b: Sequence[float]) -> float:
  return (
    statistics.variance(a) / len(a) + statistics.variance(b) / len(b)
  ) ** 0.5
