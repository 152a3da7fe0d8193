"""Spans of training: '64000 steps', '2.5 epochs', '50%', or a bare number.

to_steps('2 epochs', 'duration', steps_per_epoch=390.6)     # 781
"""

import re

from resnet_jax.errors import UserError

_UNITS = {'': 'step', 'step': 'step', 'epoch': 'epoch', '%': '%'}


def to_steps(
  text: str | int | float,
  field: str,
  *,
  steps_per_epoch: float,
  total: int | None = None,
) -> int:
  """`text` in steps, rounded to the nearest.

  Args:
    text: Number and unit: step(s), epoch(s), or % of `total`. A bare number is
      in steps.
    field: The config field, for the error message.
    steps_per_epoch: Training examples over batch size, not rounded.
    total: Steps of the whole run; None where a percentage has no meaning.

  Raises:
    UserError: no such number or unit, or a negative one.
  """
  number, unit = _split(text)
  if unit not in _UNITS or (unit == '%' and total is None):
    percent = '' if total is None else ", '50%'"
    raise UserError(
      f"config.{field} is {text!r}; write '1000 steps', '2.5 epochs'{percent} "
      f'or a number of steps'
    )
  scale = {'step': 1, 'epoch': steps_per_epoch, '%': (total or 0) / 100}
  return round(number * scale[_UNITS[unit]])


def to_seconds(text: str | int) -> float | None:
  """`text` in seconds where it says minutes ('10 minutes'), else None."""
  number, unit = _split(text)
  return 60 * number if unit == 'minute' else None


def _split(text: str | int | float) -> tuple[float, str]:
  match = re.fullmatch(r'\s*(\d+(?:\.\d*)?)\s*([a-z]*|%)\s*', str(text).lower())
  if not match:
    return 0, 'not a duration'
  return float(match[1]), match[2].removesuffix('s')
