"""Counts the collectives of a compiled training step on simulated devices.

XLA_FLAGS=--xla_force_host_platform_device_count=8 \\
  python -m tests.collectives_run --config=FILE --config.FIELD=VALUE ...
"""

import json
import sys

import jax
from absl import flags

from benchmarks import blank_data, hlo
from benchmarks.kernels import kernels
from resnet_jax import experiment, main, train
from resnet_jax.state import TrainMetrics


def run() -> None:
  main.parse_flags(sys.argv)
  run = experiment.build(flags.FLAGS.config, loader=blank_data.load)
  arguments = (run.initial_state(), TrainMetrics.empty(), *run.feed.at(0))
  compiled = train.build_step(run).lower(*arguments).compile()
  found = [
    [k.instruction.attribute('replica_groups'), k.instruction.bytes, k.times]
    for k in kernels(hlo.parse(compiled.as_text()))
    if k.kind == 'collective'
  ]
  state = arguments[0]
  own = sum(
    x.nbytes for x in jax.tree.leaves((state.params, state.batch_stats))
  )
  print(json.dumps({'collectives': found, 'bytes': own}))


if __name__ == '__main__':
  run()
