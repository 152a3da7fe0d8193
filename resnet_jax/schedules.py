"""Learning rates: pure functions of the step and of a small state.

Two of the paper's rules need the state: the warm-up of the 110-layer net, which
ends when the training error is low enough (Sec. 4.2), and the drops "when the
error plateaus" (Sec. 3.4). The state is saved in checkpoints.
"""

import dataclasses
import math
from typing import TYPE_CHECKING

import flax.struct
import jax
import jax.numpy as jnp

from resnet_jax.config import durations
from resnet_jax.errors import UserError, did_you_mean

if TYPE_CHECKING:
  import ml_collections

NAMES = ('step', 'plateau', 'cosine')
WARMUPS = ('none', 'linear', 'error')


class ScheduleState(flax.struct.PyTreeNode):
  """The progress of the warm-up by error, and the plateaus so far.

  Attributes are scalars, int32 unless another type is said.

  Attributes:
    warmup_end: The first step after the warm-up; -1 while it lasts.
    wrong: Misclassified examples in the current window of steps.
    seen: Examples in the current window of steps.
    drops: Plateaus so far.
    lowest: The lowest validation error so far, float32; above 1 before any.
    waited: Evaluations since the lowest error or the last drop.
  """

  warmup_end: jax.Array
  wrong: jax.Array
  seen: jax.Array
  drops: jax.Array
  lowest: jax.Array
  waited: jax.Array


@dataclasses.dataclass(frozen=True)
class Schedule:
  """The learning rate of a run; steps are absolute, see configs/common.py."""

  name: str
  steps: int
  learning_rate: float
  drops: tuple[int, ...]
  drop_factor: float
  plateau_window: int
  plateau_threshold: float
  warmup: str
  warmup_learning_rate: float
  warmup_steps: int
  warmup_error: float
  warmup_window: int

  def init(self) -> ScheduleState:
    """The state before step 0."""
    end = -1 if self.warmup == 'error' else 0
    # Each leaf is an array of its own, for the state is donated leaf by leaf.
    return ScheduleState(
      warmup_end=jnp.int32(end),
      wrong=jnp.int32(0),
      seen=jnp.int32(0),
      drops=jnp.int32(0),
      lowest=jnp.float32(2),
      waited=jnp.int32(0),
    )

  def at(self, step: jax.Array, state: ScheduleState) -> jax.Array:
    """The learning rate of `step`, float32."""
    peak = jnp.float32(self.learning_rate)
    if self.name == 'cosine':
      start = self.warmup_steps if self.warmup == 'linear' else 0
      progress = (step - start) / (self.steps - start)
      rate = peak * 0.5 * (1 + jnp.cos(math.pi * jnp.clip(progress, 0, 1)))
    else:
      passed = state.drops
      passed += sum((step >= drop).astype(jnp.int32) for drop in self.drops)
      rate = peak * jnp.float32(self.drop_factor) ** passed
    low = jnp.float32(self.warmup_learning_rate)
    if self.warmup == 'linear':
      ramp = low + (peak - low) * (step / self.warmup_steps)
      rate = jnp.where(step < self.warmup_steps, ramp, rate)
    if self.warmup == 'error':
      rate = jnp.where(state.warmup_end < 0, low, rate)
    return rate.astype(jnp.float32)

  def update(
    self,
    state: ScheduleState,
    step: jax.Array,
    wrong: jax.Array,
    seen: jax.Array,
  ) -> ScheduleState:
    """The state after `step`, in which `wrong` of `seen` examples were wrong.

    The error is measured over windows of `warmup_window` steps, one after
    another: a single batch has too few examples to go by.
    """
    if self.warmup != 'error':
      return state
    wrong = state.wrong + wrong.astype(jnp.int32)
    seen = state.seen + seen.astype(jnp.int32)
    full = (step + 1) % self.warmup_window == 0
    below = full & (wrong < self.warmup_error * seen) & (state.warmup_end < 0)
    return state.replace(
      warmup_end=jnp.where(below, step + 1, state.warmup_end),
      wrong=jnp.where(full, 0, wrong),
      seen=jnp.where(full, 0, seen),
    )

  def observe(self, state: ScheduleState, error: float) -> ScheduleState:
    """The state after an evaluation of the watched split found `error`.

    Only the schedule 'plateau' looks at it, which needs a validation split.

    A drop is due after `plateau_window` evaluations in a row of which none was
    lower than the lowest before by the fraction `plateau_threshold`.
    """
    if self.name != 'plateau':
      return state
    better = error < state.lowest * (1 - self.plateau_threshold)
    waited = 0 if better else int(state.waited) + 1
    drop = waited >= self.plateau_window
    return state.replace(
      lowest=jnp.float32(error) if better else state.lowest,
      waited=jnp.int32(0 if drop else waited),
      drops=state.drops + jnp.int32(drop),
    )

  def describe(self) -> str:
    """In words: 'lr 0.1, x0.1 at 32,000 and 48,000 of 64,000 steps'."""
    if self.name == 'cosine':
      words = f'lr {self.learning_rate:g}, cosine to 0 at {self.steps:,} steps'
    elif self.name == 'plateau':
      words = (
        f'lr {self.learning_rate:g}, x{self.drop_factor:g} after '
        f'{self.plateau_window} evaluations without a lower validation error, '
        f'for {self.steps:,} steps'
      )
    elif self.drops:
      times = ' and '.join(f'{drop:,}' for drop in self.drops)
      words = (
        f'lr {self.learning_rate:g}, x{self.drop_factor:g} at {times} of '
        f'{self.steps:,} steps'
      )
    else:
      words = f'lr {self.learning_rate:g} for {self.steps:,} steps'
    low = f'{self.warmup_learning_rate:g}'
    if self.warmup == 'linear':
      words += f', up from {low} within the first {self.warmup_steps:,}'
    elif self.warmup == 'error':
      words += (
        f', after {low} until the training error is below '
        f'{100 * self.warmup_error:g} %'
      )
    return words


def create(
  config: 'ml_collections.ConfigDict', *, steps: int, steps_per_epoch: float
) -> Schedule:
  """The schedule that `config.schedule` describes, for a run of `steps`.

  Raises:
    UserError: a field is out of range, or a drop comes after the end.
  """
  _check_choice('name', config.name, NAMES)
  _check_choice('warmup', config.warmup, WARMUPS)
  for field in ('learning_rate', 'drop_factor', 'warmup_learning_rate'):
    value = config[field]
    if not (math.isfinite(value) and value > 0):
      raise UserError(f'config.schedule.{field} is {value}; it must be above 0')
  if not 0 < config.warmup_error <= 1:
    raise UserError(
      f'config.schedule.warmup_error is {config.warmup_error}; it is a '
      f'fraction, such as 0.8'
    )
  if config.warmup_window < 1:
    raise UserError('config.schedule.warmup_window must be at least 1 step')

  def span(field: str, text: str | int) -> int:
    value = durations.to_steps(
      text, f'schedule.{field}', steps_per_epoch=steps_per_epoch, total=steps
    )
    if value > steps:
      raise UserError(
        f'config.schedule.{field}: {text!r} is step {value:,}, after the end '
        f'of training at {steps:,} steps; write it in % of the run, or train '
        f'longer'
      )
    return value

  drops: tuple[int, ...] = ()
  warmup_steps = 0
  if config.name == 'step':
    drops = tuple(span('drops', text) for text in config.drops)
    if list(drops) != sorted(drops):
      raise UserError(
        f'config.schedule.drops are at steps {drops}; write them in order'
      )
  if config.warmup == 'linear':
    warmup_steps = span('warmup_duration', config.warmup_duration)
    if not 0 < warmup_steps < steps:
      raise UserError(
        f'config.schedule.warmup_duration is {warmup_steps} of {steps} steps; '
        f'it must be at least 1 and leave some'
      )
  return Schedule(
    name=config.name,
    steps=steps,
    learning_rate=config.learning_rate,
    drops=drops,
    drop_factor=config.drop_factor,
    plateau_window=config.plateau_window,
    plateau_threshold=config.plateau_threshold,
    warmup=config.warmup,
    warmup_learning_rate=config.warmup_learning_rate,
    warmup_steps=warmup_steps,
    warmup_error=config.warmup_error,
    warmup_window=config.warmup_window,
  )


def _check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
  if value not in choices:
    raise UserError(
      f'config.schedule.{field} is {value!r}{did_you_mean(value, choices)}; '
      f'it can be {", ".join(choices)}'
    )
