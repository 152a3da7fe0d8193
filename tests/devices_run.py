"""A run on one number of devices; test_devices.py compares several.

python -m tests.devices_run DIGITS.npz DTYPE BN_GROUP_SIZE STEPS OUT.npz
"""

import sys
from collections.abc import Sequence

import jax
import numpy as np

from resnet_jax import experiment, train
from resnet_jax.config.file import load_config
from resnet_jax.placement import replicate
from resnet_jax.runs.leaves import flatten
from resnet_jax.state import TrainMetrics
from tests import command


def main(npz: str, dtype: str, group: str, steps: str, out: str) -> None:
  # Most of the time is XLA's optimizer, which nets this small do not need.
  jax.config.update('jax_disable_most_optimizations', True)
  config = load_config(command.TINY[0].split('=')[1])
  config.dataset.npz = npz
  config.model.name = 'cifar_resnet8'
  config.model.dtype = dtype
  config.model.bn_group_size = int(group)
  config.batch_size = 16
  config.duration = '50 steps'
  config.augment.pad = 1
  config.augment.flip = True
  run = experiment.build(config)
  state, metrics = replicate((run.initial_state(), TrainMetrics.empty()))
  # To the last bit one start: initialization is compiled apart.
  train_step = train.build_step(run)
  results = {}
  for k in range(int(steps)):
    state, metrics = train_step(state, metrics, *run.feed.at(k))
    jax.block_until_ready(state)
    if k == 0:  # the trace is now -learning_rate * gradient
      trace = flatten(jax.device_get(state.opt_state))
      results |= {f'gradient/{name}': x for name, x in trace.items()}
  if dtype == 'float64':
    final = flatten(jax.device_get(state))
    results |= {f'state/{name}': x for name, x in final.items()}
  results['batches'] = batches(run, range(20))
  counts = run.evaluator(run.model, state.variables(), 'test')
  results['evaluation'] = np.array([counts.examples, counts.wrong])
  np.savez(out, **results)


def batches(run: experiment.Experiment, steps: Sequence[int]) -> np.ndarray:
  """The images of `steps`, shares of the devices in their order."""
  share = jax.pmap(
    lambda step, common, share: run.feed.make_batch(
      step, common, share, run.normalization
    )[0],
    in_axes=(None, None, 0),
  )
  return np.stack(
    [
      np.concatenate(jax.device_get(share(np.int32(k), *run.feed.at(k))))
      for k in steps
    ]
  )


if __name__ == '__main__':
  main(*sys.argv[1:])
