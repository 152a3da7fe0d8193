"""What a run does at each step of its loop, and the state that it keeps."""

import collections
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import jax

from resnet_jax import experiment, finish, start
from resnet_jax.config.file import to_json
from resnet_jax.errors import UserError
from resnet_jax.placement import replicate
from resnet_jax.runs import (
  checkpoint,
  environment,
  hook,
  lock,
  sessions,
  telemetry,
)
from resnet_jax.runs.interruption import Cadence
from resnet_jax.runs.workdir import write_json
from resnet_jax.state import NEVER, TrainMetrics, TrainState
from resnet_jax.waits import waiting_for

# One compiled step of training: state, metrics, images, labels.
Step = Callable[..., tuple[TrainState, TrainMetrics]]

_log = logging.getLogger('resnet_jax')

# Steps that may be dispatched before the oldest is waited for. On a CPU none:
# simulated devices share a pool of threads, in which two steps with
# collectives can deadlock.
_IN_FLIGHT_CPU, _IN_FLIGHT = 0, 8


class Trainer:
  """The state of a run, and what the loop does with it after each step.

  Args:
    run: The parts of the run.
    step: Its compiled step.
    held: The folder of the run, locked.
    latest: The series of checkpoints to resume from.
    newest: The checkpoint to resume from now, if there is one.
    began: The moment from which the time of this session counts.

  Raises:
    UserError: there is too little disk space, or what `workdir` holds is of
      another run, or damaged.
  """

  def __init__(
    self,
    run: experiment.Experiment,
    step: Step,
    held: lock.Hold,
    latest: checkpoint.Series,
    newest: checkpoint.Found | None,
    *,
    began: float,
  ) -> None:
    self.run = run
    self._step = step
    self.held = held
    self.latest = latest
    _log.info('%s the weights ...', 'restoring' if newest else 'initializing')
    state, metrics = start.first_state(run, held.workdir, newest)
    self.first_step = int(state.step)
    self.best, best = start.make_way(held, latest, newest)
    self.best_step = best.step if best else None
    self.best_error = best.meta['error'] if best else float('inf')
    if newest:
      of = f'{run.plan.steps:,}'
      _log.info('resumed at step %s of %s', f'{newest.step:,}', of)

    self.clock = telemetry.Clock(newest.meta.get('seconds') if newest else None)
    self.sessions = sessions.Log(
      held.workdir,
      run.meta(),
      began=began,
      first_step=self.first_step,
      steps=run.plan.steps,
      trained=self.clock.before.get('train', 0.0),
    )
    self.reporter = telemetry.Reporter(
      held.workdir,
      first_step=self.first_step,
      steps=run.plan.steps,
      batch_size=run.config.batch_size,
      clock=self.clock,
      tensorboard=run.config.run.tensorboard,
      every=run.config.run.log_every,
      hook=hook.open_hook(
        run.config.run.hook, to_json(run.config), held.workdir
      )
      if jax.process_index() == 0
      else lambda record: None,
    )
    write_json(held.workdir / 'config.json', to_json(run.config))
    described = environment.describe(precision=run.config.model.precision)
    write_json(held.workdir / 'environment.json', described)
    self.cadence = Cadence(run.plan, agree_every=run.config.run.log_every)
    self._no_metrics = replicate(TrainMetrics.empty())
    self._state, self._metrics = replicate((state, metrics))
    self._in_flight: collections.deque[TrainMetrics] = collections.deque()
    # The test set shows the curve only where there is nothing to choose by.
    splits = run.evaluator.splits
    self._watched = 'validation' if 'validation' in splits else splits[0]
    self._warming_up = run.config.schedule.warmup == 'error'
    self.clock.start()

  def train_step(self, step: int) -> None:
    """Does step number `step`, counted from 0."""
    first = step == self.first_step
    with self.clock('open' if first else 'input'):
      batch = self.run.feed.at(step)
    if first:
      _log.info('compiling the training step ...')
      with self.clock('compile'):
        self._dispatch(batch)
        jax.block_until_ready(self._metrics)
      _log.info('compiled in %.1f s', self.clock.seconds['compile'])
    else:
      self._dispatch(batch)

  def record(self, done: int) -> None:
    """Records the steps since the last record; `done` steps are done."""
    values = self._values(done)
    with self._writing():
      self.held.check()
      self.reporter.train(done, values)
      self.sessions.alive(done)
    self._metrics = self._no_metrics
    if self._warming_up and int(self._state.schedule.warmup_end) >= 0:
      self._warming_up = False
      _log.info(
        'the warm-up ended at step %s: training error below %g %%',
        f'{int(self._state.schedule.warmup_end):,}',
        100 * self.run.config.schedule.warmup_error,
      )

  def show_progress(self, done: int) -> None:
    """Shows, now and then, the steps since the last record."""
    if self.reporter.progress_due():
      self.reporter.progress(done, self._values(done))

  def evaluate(self, done: int) -> None:
    """Evaluates, and keeps the best by validation error, if there is one."""
    with self.clock('eval'):
      result = self.run.evaluator(
        self.run.model, self._state.variables(), self._watched
      )
    schedule = jax.device_get(self._state.schedule)
    schedule = self.run.schedule.observe(schedule, result.error)
    self._state = self._state.replace(schedule=replicate(schedule))
    with self._writing():
      self.reporter.evaluation(done, self._watched, result.to_json())
    _log.info('step %s  %s %s', f'{done:,}', self._watched, result)
    if self._watched == 'validation' and result.error < self.best_error:
      self.best_step, self.best_error = done, result.error
      with self.clock('save'), self._writing():
        self.held.check()
        meta = self._meta() | {'error': result.error}
        self.best.save(done, self._bundle(), meta)

  def save(self, done: int) -> None:
    """Saves a checkpoint to resume from, unless the loss is not finite."""
    self._check_finite(done)
    with self.clock('save'), self._writing():
      self.held.check()
      self.sessions.alive(done)
      self.latest.save(done, self._bundle(), self._meta())
    self.cadence.saved()

  def finish(self) -> dict[str, Any]:
    """Evaluates the end result in all its forms, and writes it down."""
    with self.clock('eval'):
      results = finish.evaluate_final(
        self.run, self._state, held=self.held, best=self.best
      )
    meta = self._meta()
    self.close()
    with self._writing():
      self.held.check()
      content = finish.write_results(
        self.run,
        results,
        meta,
        workdir=self.held.workdir,
        goodput=self.sessions.goodput(meta['seconds']['train']),
        best_step=self.best_step if 'best' in results else None,
      )
      self.held.check()
    return content

  def wait_until_saved(self) -> None:
    """Returns once the checkpoint that is being written is on disk."""
    with self._writing():
      self.latest.wait()

  def close(self) -> None:
    """Waits for what is being written."""
    with self._writing():
      for series in (self.latest, self.best):
        series.wait()
        series.close()
      self.reporter.close()

  def _dispatch(self, batch: tuple[Any, Any]) -> None:
    self._state, self._metrics = self._step(self._state, self._metrics, *batch)
    self._in_flight.append(self._metrics)
    on_cpu = jax.default_backend() == 'cpu'
    with waiting_for('a training step'):
      while len(self._in_flight) > (_IN_FLIGHT_CPU if on_cpu else _IN_FLIGHT):
        jax.block_until_ready(self._in_flight.popleft())

  def _writing(self) -> contextlib.AbstractContextManager[None]:
    return waiting_for(f'{self.held.workdir} to take what is written')

  def _values(self, done: int) -> dict[str, float]:
    """Training since the last record, once the steps are done."""
    self._check_finite(done)
    values = jax.device_get(self._metrics).compute()
    del values['first_nonfinite']
    return {name: float(value) for name, value in values.items()}

  def _check_finite(self, done: int) -> None:
    """Refuses to go on when the loss of a step was not finite.

    Raises:
      UserError: naming the step, and the last checkpoint from before.
    """
    bad = int(self._metrics.first_nonfinite.step)
    if bad != NEVER:
      raise UserError(
        f'the training loss of step {bad + 1:,} is not finite '
        f'({float(self._metrics.loss.total)}, noticed at step {done:,}); '
        f'{self.latest.last_good()}. Try a lower '
        f'--config.schedule.learning_rate or --config.schedule.warmup=linear, '
        f'in a new --workdir'
      )

  def _bundle(self) -> dict[str, Any]:
    """The content of a checkpoint.

    The sums since the last record are in it, so that the records of a resumed
    run are those of a run that was never cut.
    """
    return {'state': self._state, 'metrics': self._metrics}

  def _meta(self) -> dict[str, Any]:
    """The facts saved with a checkpoint, with the seconds of all sessions."""
    return self.run.meta() | {'seconds': self.clock.of_all_sessions()}
