"""Our side of each measurement, built as `python -m resnet_jax.main` does.

Each function makes a subject of `rounds.py`, in a process of its own. The
network, the step and the evaluation come from `experiment.build` and
`train.build_step`, with the devices and the compiler options of a run that is
started without flags.
"""

import logging
import pathlib
import tempfile
import time
from typing import Any

import jax
from jax import monitoring

from benchmarks import limit, memory
from benchmarks.cases import Case, config_of
from benchmarks.rounds import Work, nothing
from resnet_jax import experiment, main, train
from resnet_jax.config import checks
from resnet_jax.console import start_logging
from resnet_jax.placement import replicate
from resnet_jax.runs import environment
from resnet_jax.state import TrainMetrics

_COMPILE = '/jax/core/compile/backend_compile_duration'


def training(case: Case) -> tuple[Work, dict[str, Any]]:
  """Training steps on images that are on the devices."""
  run = _build(case)
  stepper = _Stepper(run)
  first = stepper.timed()
  stepper.timed()
  facts = _facts(run, case, training=True) | {'first_step': first}

  def work(repeats: int) -> tuple[float, None]:
    stepper.steps(repeats)
    return repeats * case.batch, None

  return work, facts


def evaluation(case: Case) -> tuple[Work, dict[str, Any]]:
  """Passes over the test images by the evaluation of a run."""
  run = _build(case)
  variables = replicate(run.initial_state()).variables()

  def evaluate(repeats: int) -> tuple[float, None]:
    for _ in range(repeats):
      run.evaluator(run.model, variables, 'test')
    return repeats * run.data.sizes['test'], None

  start = time.perf_counter()
  evaluate(1)
  first = time.perf_counter() - start
  evaluate(1)
  return evaluate, _facts(run, case, training=False) | {'first_step': first}


def loop(case_steps: tuple[Case, int]) -> tuple[Work, dict[str, Any]]:
  """The whole training loop, with its records, events and checkpoints.

  A repetition is a run of that number of steps without evaluations; its
  seconds are those of training and saving, without compilation.
  """
  case, steps = case_steps
  config = _loop_config(case, steps)
  _start()
  start_logging()
  logging.getLogger('resnet_jax').setLevel(logging.WARNING)

  def work(repeats: int) -> tuple[float, float]:
    seconds = 0.0
    for _ in range(repeats):
      with tempfile.TemporaryDirectory() as folder:
        record = train.train(config, pathlib.Path(folder))
      seconds += record['seconds']['train'] + record['seconds']['save']
    return repeats * (steps - 1) * case.batch, seconds

  work(1)
  return work, {}


def bare_loop(case_steps: tuple[Case, int]) -> tuple[Work, dict[str, Any]]:
  """The steps of `loop` alone."""
  case, steps = case_steps
  run = _build(case)
  stepper = _Stepper(run)
  stepper.timed()

  def work(repeats: int) -> tuple[float, None]:
    stepper.steps(repeats * (steps - 1))
    return repeats * (steps - 1) * case.batch, None

  return work, {}


def first_step(case: Case) -> tuple[Work, dict[str, Any]]:
  """The parts of the first step, in seconds; there is nothing to repeat.

  Facts: `init`, the initial weights; `trace`, Python and lowering; `compile`,
  XLA or the cache of compiled programs; `step`, a step afterwards; `total`,
  from the network to the end of the first step.
  """
  run = _build(case)
  compiling = 0.0

  def listen(event: str, duration_secs: float, **_: str | int) -> None:
    nonlocal compiling
    if event == _COMPILE:
      compiling += duration_secs

  start = time.perf_counter()
  stepper = _Stepper(run)
  init = time.perf_counter() - start
  monitoring.register_event_duration_secs_listener(listen)
  first = stepper.timed()
  compiled = compiling
  step = stepper.timed()
  return nothing, {
    'init': init,
    'trace': max(0.0, first - compiled - step),
    'compile': compiled,
    'step': step,
    'total': init + first,
  }


def peak_memory(case: Case) -> tuple[Work, dict[str, Any]]:
  """The peak memory of training steps beyond libraries and data, in bytes."""
  run = _build(case)
  before = memory.now()
  stepper = _Stepper(run)
  stepper.timed()
  memory.reset_peak()
  stepper.steps(2)
  return nothing, {'peak': memory.peak() - before}


def about(_: None) -> tuple[Work, dict[str, Any]]:
  """Versions, devices and commit, as a run's environment.json has them."""
  _start()
  return nothing, environment.describe()


class _Stepper:
  """A run's state, and its compiled step."""

  def __init__(self, run: experiment.Experiment) -> None:
    self._run = run
    self._done = 0
    self._step = train.build_step(run)
    state = run.initial_state()
    self._state, self._metrics = replicate((state, TrainMetrics.empty()))
    jax.block_until_ready(self._state)

  def steps(self, count: int) -> None:
    """Does steps, waiting for each on a CPU as the training loop does."""
    waits = jax.default_backend() == 'cpu'
    for _ in range(count):
      batch = self._run.feed.at(self._done)
      self._done += 1
      self._state, self._metrics = self._step(
        self._state, self._metrics, *batch
      )
      if waits:
        jax.block_until_ready(self._metrics)
    jax.block_until_ready(self._metrics)

  def timed(self) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    self.steps(1)
    return time.perf_counter() - start


def _start() -> None:
  """Makes the devices that a run makes when it is started without flags."""
  devices = main._CPU_DEVICES.default
  if devices > 1:
    jax.config.update('jax_num_cpu_devices', devices)


def _build(case: Case) -> experiment.Experiment:
  _start()
  config = config_of(case)
  checks.check(config)
  return experiment.build(config)


def _loop_config(case: Case, steps: int) -> Any:
  config = config_of(case)
  config.duration = f'{steps} steps'
  config.run.eval_every = config.duration
  config.run.checkpoint_every = '100 steps'
  return config


def _facts(
  run: experiment.Experiment, case: Case, *, training: bool
) -> dict[str, Any]:
  work = limit.least_work(
    run.model,
    run.data.image_shape,
    batch=case.batch,
    item_bytes=2 if case.precision == 'bfloat16' else 4,
    training=training,
  )
  return {
    'flops': work.flops,
    'bytes': work.bytes,
    'devices': jax.local_device_count(),
    'device': jax.devices()[0].device_kind,
  }
