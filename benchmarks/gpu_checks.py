"""Whether a device computes what the paper's equations say.

  step(spec)       a subject of `rounds.py`: logits, and one step of training
  compare(...)     relative errors of two of them, with the tolerances below
  resumed(...)     whether a run that was cut ends with the same bits

The reference is the project's own step in float64 on the CPU, from the same
weights and images. Errors are relative, in the Euclidean norm over all
parameters together: one step from rest moves them by the learning rate times
the gradient with its weight decay.
"""

import dataclasses
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.cases import ROOT, Case, config_of
from benchmarks.processes import newest_step
from benchmarks.rounds import Work, nothing

# Greatest relative error by kind of arithmetic: that of logits' probabilities
# (absolute, in nats), and of the step. TF32 keeps 10 bits of a factor, bfloat16
# 7; the errors of 20 layers and of ReLUs that switch add up.
TOLERANCES = {
  'float32': {'scores': 1e-3, 'step': 1e-3, 'statistics': 1e-4},
  'tensorfloat32': {'scores': 5e-2, 'step': 5e-2, 'statistics': 1e-2},
  'bfloat16': {'scores': 3e-1, 'step': 3e-1, 'statistics': 5e-2},
}
_WAIT = 0.02


@dataclasses.dataclass(frozen=True)
class Spec:
  """One computation.

  Attributes:
    case: Network, batch and precision; 'float64' is the reference's.
    file: The .npz file of results that is written.
    weights: The .npz file of the weights to start from; they are written if
      there is none.
    devices: Devices to make of a CPU; 0 takes what there is.
  """

  case: Case
  file: str
  weights: str
  devices: int = 0


def step(spec: Spec) -> tuple[Work, dict[str, Any]]:
  """One step of training, and scores after it, as arrays on disk."""
  import jax

  from resnet_jax import experiment, train
  from resnet_jax.config import checks
  from resnet_jax.placement import replicate
  from resnet_jax.runs.leaves import fill, flatten
  from resnet_jax.state import TrainMetrics

  if spec.devices:
    jax.config.update('jax_num_cpu_devices', spec.devices)
  config = config_of(spec.case)
  config.augment.pad, config.augment.flip = 0, False
  # The statistics of one batch; those at the start are of no data at all.
  config.model.bn_momentum = 0.0
  checks.check(config)
  run = experiment.build(config)
  state = run.initial_state()
  weights = pathlib.Path(spec.weights)
  if not weights.is_file():
    arrays: dict[str, Any] = flatten(state)
    np.savez(weights, **arrays)
  kinds = {name: x.dtype for name, x in flatten(state).items()}
  with np.load(weights) as saved:
    leaves = {name: saved[name].astype(kinds[name]) for name in saved.files}
  state = fill(state, leaves, weights)
  state = replicate(state)
  state, metrics = train.build_step(run)(
    state, replicate(TrainMetrics.empty()), *run.feed.at(0)
  )
  scores = run.evaluator.scores(run.model, state.variables(), 'test').logs
  after = flatten(jax.device_get(state))
  moved = {
    name: np.asarray(after[name], np.float64) - leaves[name]
    for name in after
    if name.startswith(('params/', 'batch_stats/'))
  }
  loss = float(jax.device_get(metrics).compute()['loss'])
  np.savez(spec.file, scores=scores, **moved)
  return nothing, {
    'loss': loss,
    'devices': jax.device_count(),
    'device': jax.devices()[0].device_kind,
    'backend': jax.default_backend(),
  }


def compare(found: str, reference: str, kind: str) -> dict[str, Any]:
  """Errors of the results in one file, against those in another.

  Args:
    found: The file of results.
    reference: The file of the right ones.
    kind: A key of TOLERANCES.

  Returns:
    error and tolerance of scores, step and statistics, and `passed`.
  """
  with np.load(found) as ours, np.load(reference) as theirs:
    names = theirs.files
    scores = float(np.abs(ours['scores'] - theirs['scores']).max())
    errors = {'scores': scores}
    for what, prefix in (('step', 'params/'), ('statistics', 'batch_stats/')):
      group = [name for name in names if name.startswith(prefix)]
      difference = sum(((ours[n] - theirs[n]) ** 2).sum() for n in group)
      size = sum((theirs[n] ** 2).sum() for n in group)
      errors[what] = float(np.sqrt(difference / size)) if group else 0.0
  tolerance = TOLERANCES[kind]
  return {
    'errors': errors,
    'tolerances': tolerance,
    'passed': all(errors[name] <= tolerance[name] for name in errors),
  }


def resumed(
  folder: pathlib.Path,
  words: list[str],
  *,
  environment: dict[str, str],
  timeout: float,
) -> dict[str, Any]:
  """Trains twice, the second time cut by SIGTERM and resumed.

  Args:
    folder: Where the two runs go.
    words: Flags of `resnet_jax.main` without --workdir.
    environment: The environment of the runs.
    timeout: Seconds until a run is given up.

  Returns:
    `passed`: whether the hashes of all arrays of the last checkpoints are the
    same; `repeats`: whether the records of both were the same up to the cut;
    `stopped_at`, the step at which the second was cut; `steps`.

  Raises:
    RuntimeError: a run failed, or ended before it could be cut.
  """
  whole, cut = folder / 'whole', folder / 'cut'
  _train(whole, words, environment, timeout)
  command = _command(cut, words)
  with (folder / 'cut.log').open('a') as log:
    process = subprocess.Popen(
      command, cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    try:
      records = cut / 'metrics.jsonl'
      while process.poll() is None and not _has_content(records):
        time.sleep(_WAIT)
      process.send_signal(signal.SIGTERM)
      code = process.wait(timeout)
    finally:
      process.kill()
  if code != 128 + signal.SIGTERM:
    raise RuntimeError(
      f'the run that was to be cut ended with code {code}: {command}'
    )
  stopped_at = newest_step(cut)
  _train(cut, words, environment, timeout)
  return {
    'passed': _hashes(whole) == _hashes(cut),
    'repeats': _losses(whole, stopped_at) == _losses(cut, stopped_at),
    'stopped_at': stopped_at,
    'steps': newest_step(cut),
  }


def _train(
  workdir: pathlib.Path,
  words: list[str],
  environment: dict[str, str],
  timeout: float,
) -> None:
  result = subprocess.run(
    _command(workdir, words),
    cwd=ROOT,
    env=environment,
    timeout=timeout,
    capture_output=True,
    text=True,
  )
  if result.returncode:
    raise RuntimeError(f'the run in {workdir}: {result.stderr[-300:]}')


def _command(workdir: pathlib.Path, words: list[str]) -> list[str]:
  main = [sys.executable, '-m', 'resnet_jax.main']
  return [*main, *words, f'--workdir={workdir}']


def _has_content(file: pathlib.Path) -> bool:
  return file.is_file() and file.stat().st_size > 0


def _losses(workdir: pathlib.Path, steps: int) -> list[float]:
  """The training losses of the records up to `steps`."""
  from resnet_jax.runs.history import read_metrics

  return [
    record['loss']
    for record in read_metrics(workdir)
    if record['split'] == 'train' and record['step'] <= steps
  ]


def _hashes(workdir: pathlib.Path) -> dict[str, str]:
  from resnet_jax.runs.checkpoint import read_step

  newest = workdir / 'checkpoints' / 'latest' / str(newest_step(workdir))
  return read_step(newest).meta['hashes']
