"""Measures the cost of the training loop over its compiled step.

  python -m benchmarks.loop_overhead
  python -m benchmarks.loop_overhead --steps=500 --model=cifar_resnet56

Both run in turn, in one process and on the same arrays: the bare step, with the
same waiting as in the loop, and the whole loop with its records, TensorBoard
events and checkpoints, but without evaluation. Compilation counts in neither.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import jax
import ml_collections

from resnet_jax import experiment, train
from resnet_jax.config.file import load_config
from resnet_jax.console import start_logging
from resnet_jax.placement import replicate
from resnet_jax.state import TrainMetrics

ROOT = pathlib.Path(__file__).parent.parent


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--steps', type=int, default=300)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--model', default='cifar_resnet20')
  arguments = parser.parse_args()

  start_logging()
  config = load_config(str(ROOT / 'configs' / 'digits_resnet20.py'))
  config.model.name = arguments.model
  config.duration = f'{arguments.steps} steps'
  config.bn_recompute_batches = 0
  config.run.eval_every = config.duration
  config.run.checkpoint_every = '100 steps'
  rates = {'bare step': [], 'loop': []}
  for _ in range(arguments.rounds):
    rates['bare step'].append(bare(config))
    rates['loop'].append(loop(config))
  medians = {name: statistics.median(r) for name, r in rates.items()}
  for name, rate in medians.items():
    print(f'{name:10} {rate:10.1f} img/s   rounds: ', end='')
    print(' '.join(f'{r:.0f}' for r in rates[name]))
  cost = medians['bare step'] / medians['loop'] - 1
  print(f'the loop costs {100 * cost:.1f} % over the bare step')


def bare(config: ml_collections.ConfigDict) -> float:
  """Images per second of the compiled step alone."""
  run = experiment.build(config)
  compiled = train.build_step(run)
  state, metrics = replicate((run.initial_state(), TrainMetrics.empty()))
  batches = [run.feed.at(k) for k in range(run.plan.steps)]
  for k, batch in enumerate(batches):
    state, metrics = compiled(state, metrics, *batch)
    if k == 0 or jax.default_backend() == 'cpu':
      jax.block_until_ready(metrics)
    if k == 0:
      start = time.monotonic()
  jax.block_until_ready(metrics)
  seconds = time.monotonic() - start
  return (run.plan.steps - 1) * config.batch_size / seconds


def loop(config: ml_collections.ConfigDict) -> float:
  """Images per second of the loop."""
  with tempfile.TemporaryDirectory() as folder:
    record = train.train(config, pathlib.Path(folder))
  seconds = record['seconds']['train'] + record['seconds']['save']
  return (record['step'] - 1) * config.batch_size / seconds


if __name__ == '__main__':
  main()
