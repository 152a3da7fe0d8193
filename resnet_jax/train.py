"""The training loop, from top to bottom: step, record, evaluate, save."""

import contextlib
import logging
import pathlib
import signal
import time
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections

from resnet_jax import experiment, start, summary
from resnet_jax.config import checks
from resnet_jax.errors import Interrupted, UserError
from resnet_jax.hosts import agreement
from resnet_jax.runs import lock
from resnet_jax.runs.interruption import StopSignals
from resnet_jax.runs.workdir import make_workdir
from resnet_jax.step import make_train_step
from resnet_jax.trainer import Step, Trainer
from resnet_jax.waits import waiting_for

_log = logging.getLogger('resnet_jax')


def train(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  *,
  began: float | None = None,
) -> dict[str, Any]:
  """Trains to the end of `config`, from where `workdir` left off.

  Args:
    config: The run's.
    workdir: Its folder.
    began: The moment from which the time of this session counts, by
      time.monotonic(); None is now.

  Returns:
    The content of `results.json`.

  Raises:
    UserError: something the user can mend; what was saved before stays.
    Interrupted: SIGTERM or SIGINT; everything is saved.
  """
  began = time.monotonic() if began is None else began
  with contextlib.ExitStack() as stack:
    with agreement.agreeing() as facts:
      checks.check(config)
      with waiting_for(f'{workdir} to be opened'):
        make_workdir(workdir)
        held = stack.enter_context(lock.hold(workdir))
      facts |= start.config_facts(config)
    with agreement.agreeing() as facts:
      held.check_shared(agreement.of_the_first(held.note()))
      run, series, newest = start.prepare(config, workdir)
      facts |= start.run_facts(run, newest)
    _log.info('%s', summary.describe(run))
    trainer = Trainer(run, build_step(run), held, series, newest, began=began)
    stack.enter_context(trainer.sessions)
    try:
      _loop(trainer)
      return trainer.finish()
    except UserError:
      with contextlib.suppress(UserError):
        trainer.close()  # what is being written may still become whole
      raise


def _loop(trainer: Trainer) -> None:
  """Every step, with what is due after it."""
  config, plan = trainer.run.config, trainer.run.plan
  with contextlib.ExitStack() as stack:
    for step in range(trainer.first_step, plan.steps):
      trainer.train_step(step)
      if step == trainer.first_step:
        # Before, while it was compiled, a signal ended the command at once:
        # there was nothing new to save.
        signals = stack.enter_context(StopSignals())
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
        agreement.meet()  # launchers may end all hosts when one has ended
        raise Interrupted(
          f'stopped by {signal.Signals(stop).name} at step {done:,} of '
          f'{plan.steps:,}; saved in {trainer.latest.folder / str(done)}. The '
          f'same command goes on from there',
          stop,
        )
    # What ends the command from here on does so at once.
    trainer.wait_until_saved()


def build_step(
  run: experiment.Experiment, devices: Sequence[jax.Device] | None = None
) -> Step:
  """The compiled training step of a run, see `step.make_train_step`."""
  return make_train_step(
    run.model,
    run.optimizer,
    run.schedule,
    run.feed.make_batch,
    seed=run.config.seed,
    label_smoothing=run.config.label_smoothing,
    microbatches=run.config.run.microbatches,
    devices=devices,
  )
