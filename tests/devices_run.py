"""A run on one number of hosts and devices; tests compare several.

python -m tests.devices_run OUT.npz --steps=N --config=FILE ...

With --coordinator, --num_hosts and --host it is one of several hosts, and each
writes what it has seen itself.
"""

import sys

import jax
import numpy as np
from absl import flags

from resnet_jax import experiment, main, train
from resnet_jax.config import checks
from resnet_jax.config.file import set_none
from resnet_jax.evaluate import Evaluator
from resnet_jax.placement import replicate
from resnet_jax.runs.leaves import flatten
from resnet_jax.scores import tally
from resnet_jax.state import TrainMetrics

_STEPS = flags.DEFINE_integer('steps', 50, 'Steps to train')
_EVAL_BATCHES = flags.DEFINE_multi_integer(
  'eval_batches', [16], 'Batch sizes of the evaluations'
)
# Batches that are kept to be compared.
_BATCHES = 20


def run(out: str) -> None:
  if flags.FLAGS.coordinator:
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    jax.distributed.initialize(
      flags.FLAGS.coordinator, flags.FLAGS.num_hosts, flags.FLAGS.host
    )
  config = flags.FLAGS.config
  set_none(config)
  checks.check(config)
  run = experiment.build(config)
  state, metrics = replicate((run.initial_state(), TrainMetrics.empty()))
  # To the last bit one start: initialization is compiled apart.
  train_step = train.build_step(run)
  results = {}
  for k in range(_STEPS.value):
    state, metrics = train_step(state, metrics, *run.feed.at(k))
    jax.block_until_ready(state)
    if k == 0:  # the trace is now -learning_rate * gradient
      trace = flatten(jax.device_get(state.opt_state))
      results |= {f'gradient/{name}': x for name, x in trace.items()}
  if config.model.dtype == 'float64':
    final = flatten(jax.device_get(state))
    results |= {f'state/{name}': x for name, x in final.items()}
  results['batches'] = batches(run)
  split = run.evaluator.splits[-1]
  for size in _EVAL_BATCHES.value:
    config.run.eval_batch_size = size
    evaluator = Evaluator(config, run.data)
    counts = tally(evaluator.scores(run.model, state.variables(), split))
    results[f'evaluation/{size}'] = np.array([counts.examples, counts.wrong])
  np.savez(out, **results)


def batches(run: experiment.Experiment) -> np.ndarray:
  """This host's images, [examples, steps], of its devices in their order."""
  share = jax.pmap(
    lambda step, common, share: run.feed.make_batch(
      step, common, share, run.normalization
    )[0],
    in_axes=(None, None, 0),
    devices=jax.local_devices(),
  )
  steps = [share(np.int32(k), *run.feed.at(k)) for k in range(_BATCHES)]
  return np.stack([np.concatenate(jax.device_get(x)) for x in steps], 1)


if __name__ == '__main__':
  run(*main.parse_flags(sys.argv)[1:])
