"""The loop, from top to bottom: step, record, evaluate, save."""

import collections
import contextlib
import logging
import pathlib
import shutil
import signal
from typing import Any

import jax
import ml_collections

from resnet_jax import experiment
from resnet_jax.config import checks
from resnet_jax.config.file import to_json
from resnet_jax.errors import UserError
from resnet_jax.evaluate import variables_of
from resnet_jax.placement import replicate
from resnet_jax.runs import (
  checkpoint,
  curves,
  environment,
  finetune,
  resume,
  telemetry,
)
from resnet_jax.runs.interruption import Cadence, Interrupted, StopSignals
from resnet_jax.scores import Result
from resnet_jax.state import NEVER, TrainMetrics, TrainState

_log = logging.getLogger('resnet_jax')

# Steps that may be dispatched before the oldest is waited for. On a CPU none:
# simulated devices share a pool of threads, in which two steps with
# collectives can deadlock.
_IN_FLIGHT_CPU, _IN_FLIGHT = 0, 8

# Of what `results.json` says, by the key under which it says it.
_KINDS = {
  'running': 'running BN statistics',
  'recomputed': 'recomputed BN statistics',
  'best': 'at the best validation error',
}


def train(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, Any]:
  """Trains to the end of `config`, from where `workdir` left off.

  Returns:
    What it writes to `results.json`.

  Raises:
    UserError: something the user can mend; what was saved before stays.
    Interrupted: SIGTERM or SIGINT; everything is saved.
  """
  checks.check(config)
  telemetry.make_workdir(workdir)
  series = checkpoint.Series(
    workdir / 'checkpoints' / 'latest', keep=config.run.checkpoints_kept
  )
  newest = series.newest()
  origin = finetune.origin(config, newest)
  if newest and not config.run.resume_changed:  # before the data are loaded
    resume.check_same_config(config, newest)
  run = experiment.build(config, origin)
  _log.info('%s', experiment.describe(run))
  trainer = Trainer(run, workdir, series, newest)
  try:
    _loop(trainer)
    return trainer.finish()
  except UserError:
    with contextlib.suppress(UserError):
      trainer.close()  # what is being written may still become whole
    raise


def _loop(trainer: 'Trainer') -> None:
  """Every step, with what is due after it."""
  config, plan = trainer.run.config, trainer.run.plan
  with StopSignals() as signals:
    for step in range(trainer.first_step, plan.steps):
      trainer.train_step(step)
      done, last = step + 1, step + 1 == plan.steps
      if done % config.run.log_every == 0 or last:
        trainer.record(done)
      else:
        trainer.show_progress(done)
      if done % plan.eval_every == 0 or last:
        trainer.evaluate(done)
      due, stop = trainer.cadence.decide(done, signals.number)
      if due or stop or last:
        trainer.save(done)
      if stop:
        trainer.close()
        raise Interrupted(
          f'stopped by {signal.Signals(stop).name} at step {done:,} of '
          f'{plan.steps:,}; saved in {trainer.latest.folder / str(done)}. The '
          f'same command goes on from there',
          stop,
        )


class Trainer:
  """The state of a run and what is done with it, step by step.

  Args:
    run: its parts.
    workdir: a folder that can be written to.
    latest: the checkpoints to resume from.
    newest: the one to resume from now, if there is one.

  Raises:
    UserError: there is too little disk space, or what `workdir` holds is of
      another run, or damaged.
  """

  def __init__(
    self,
    run: experiment.Experiment,
    workdir: pathlib.Path,
    latest: checkpoint.Series,
    newest: checkpoint.Found | None,
  ) -> None:
    self.run = run
    self.workdir = workdir
    self.latest = latest
    # A resumed run has its weights already.
    state = run.initial_state() if newest else run.first_state()
    metrics = TrainMetrics.empty()
    kept = run.config.run.checkpoints_kept
    # Besides those kept: one being written, the best, and the recomputed one.
    _check_space(workdir, state, copies=kept + 3)
    if newest:
      state, metrics = resume.resume(run, latest, newest, state, metrics)
    self.first_step = int(state.step)
    self.best = checkpoint.Series(workdir / 'checkpoints' / 'best', keep=1)
    best = self.best.newest()
    self.best_step = best.step if best else None
    self.best_error = best.meta['error'] if best else float('inf')
    # Of the sessions before this one.
    self._seconds_before = newest.meta.get('seconds', {}) if newest else {}

    telemetry.write_json(workdir / 'config.json', to_json(run.config))
    telemetry.write_json(workdir / 'environment.json', environment.describe())
    self.clock = telemetry.Clock()
    self.reporter = telemetry.Reporter(
      workdir,
      first_step=self.first_step,
      steps=run.plan.steps,
      batch_size=run.config.batch_size,
      clock=self.clock,
      tensorboard=run.config.run.tensorboard,
    )
    self.cadence = Cadence(run.plan, agree_every=run.config.run.log_every)
    self._no_metrics = replicate(TrainMetrics.empty())
    self._state, self._metrics = replicate((state, metrics))
    self._in_flight = collections.deque()
    self._compiled_step = run.train_step()
    # The test set shows the curve only where there is nothing to choose by.
    splits = run.evaluator.splits
    self._watched = 'validation' if 'validation' in splits else splits[0]
    self._warming_up = run.config.schedule.warmup == 'error'

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
    """Records the steps since the last record, `done` steps being done."""
    self.reporter.train(done, self._values(done))
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
      result = self._result(self._state, self._watched)
    schedule = jax.device_get(self._state.schedule)
    schedule = self.run.schedule.observe(schedule, result.error)
    self._state = self._state.replace(schedule=replicate(schedule))
    self.reporter.evaluation(done, self._watched, result.to_json())
    _log.info('step %s  %s %s', f'{done:,}', self._watched, result)
    if self._watched == 'validation' and result.error < self.best_error:
      self.best_step, self.best_error = done, result.error
      with self.clock('save'):
        meta = self._meta() | {'error': result.error}
        self.best.save(done, self._bundle(), meta)

  def save(self, done: int) -> None:
    """Saves a checkpoint to resume from, unless the loss went astray."""
    with self.clock('save'):
      self._check_finite(done)
      self.latest.save(done, self._bundle(), self._meta())
    self.cadence.saved()

  def finish(self) -> dict[str, Any]:
    """Evaluates the end result in all its forms, and writes it down."""
    with self.clock('eval'):
      results = self._final_results()
    for kind, by_split in results.items():
      for split, result in by_split.items():
        _log.info('%s %s [%s]', split, result, _KINDS[kind])
    data = self.run.data
    record = self._meta() | {
      'data_name': data.name,
      'examples': data.sizes,
      'step': self.run.plan.steps,
      'best_step': self.best_step,
      'results': {
        kind: {split: result.to_json() for split, result in by_split.items()}
        for kind, by_split in results.items()
      },
      'environment': environment.describe(),
    }
    self.close()
    telemetry.write_json(self.workdir / 'results.json', record)
    if jax.process_index() == 0:
      last = results.get('recomputed', results['running'])
      for split, result in last.items():
        file = self.workdir / f'per_class-{split}.csv'
        result.write_csv(file, self.run.data.class_names)
      title = f'{self.run.config.model.name}, {self.run.data.name}'
      records = telemetry.read_metrics(self.workdir)
      curves.draw(records, title, self.workdir / 'curves.png')
    _log.info(
      'results.json, per_class-*.csv and curves.png are in %s', self.workdir
    )
    return record

  def close(self) -> None:
    """Waits for what is being written."""
    for series in (self.latest, self.best):
      series.wait()
      series.close()
    self.reporter.close()

  def _dispatch(self, batch: tuple[Any, Any]) -> None:
    self._state, self._metrics = self._compiled_step(
      self._state, self._metrics, *batch
    )
    self._in_flight.append(self._metrics)
    on_cpu = jax.default_backend() == 'cpu'
    while len(self._in_flight) > (_IN_FLIGHT_CPU if on_cpu else _IN_FLIGHT):
      jax.block_until_ready(self._in_flight.popleft())

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
    # The sums since the last record, too: the records of a resumed run are
    # then those of a run that was never cut.
    return {'state': self._state, 'metrics': self._metrics}

  def _meta(self) -> dict[str, Any]:
    """What a checkpoint must tell, with the seconds that the run has taken."""
    now = self.clock.seconds | {'train': self.clock.training()}
    before = self._seconds_before
    seconds = {name: before.get(name, 0.0) + s for name, s in now.items()}
    return self.run.meta() | {'seconds': seconds}

  def _final_results(self) -> dict[str, dict[str, Result]]:
    """By state (running or recomputed BN statistics, best) and split."""
    state, run = self._state, self.run
    results = {'running': self._evaluate_all(state)}
    count = run.config.bn_recompute_batches
    if count and state.batch_stats:  # some networks have no BN
      _log.info('recomputing BN statistics over %d training batches', count)
      state = state.replace(batch_stats=run.recompute_batch_stats(state))
      results['recomputed'] = self._evaluate_all(state)
      folder = self.workdir / 'checkpoints' / 'recomputed'
      series = checkpoint.Series(folder, keep=1)
      bundle = {'state': state, 'metrics': self._no_metrics}
      series.save(run.plan.steps, bundle, run.meta())
      series.wait()
      series.close()
    self.best.wait()
    if best := self.best.newest():  # with BN statistics as they were then
      bundle = {'state': jax.device_get(state), 'metrics': TrainMetrics.empty()}
      bundle = checkpoint.fill(bundle, best.arrays, best.path)
      results['best'] = self._evaluate_all(replicate(bundle['state']))
    return results

  def _evaluate_all(self, state: TrainState) -> dict[str, Result]:
    return {s: self._result(state, s) for s in self.run.evaluator.splits}

  def _result(self, state: TrainState, split: str) -> Result:
    run = self.run
    return run.evaluator(run.model, variables_of(state), split)


def _check_space(workdir: pathlib.Path, state: TrainState, copies: int) -> None:
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  free = shutil.disk_usage(workdir).free
  if free < copies * size:
    raise UserError(
      f'--workdir {workdir}: {copies} checkpoints of {size / 1e6:,.1f} MB need '
      f'{copies * size / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free; make '
      f'room, or keep fewer with --config.run.checkpoints_kept=1'
    )
