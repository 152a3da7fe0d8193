"""Compiles the training step of a config for an H100, and tells what it costs.

  python -m benchmarks.gpu_program configs/cifar_resnet20.py
  python -m benchmarks.gpu_program configs/imagenet_resnet50.py --devices=8 \\
    --batch=256 --config.model.dtype=bfloat16 --json=resnet50.json

No GPU and no data are needed, but JAX's CUDA plugin (benchmarks/gpu_target.py).
The step is the one that training runs, and figures are those of one device and
one step. benchmarks/kernels.py says what counts as a kernel, a byte, a FLOP.
"""

import argparse
import json
import pathlib
import time
from typing import Any

import jax
import ml_collections
from absl import flags

from benchmarks import blank_data, gpu_target, hlo
from benchmarks.gpu_report import describe, memory, show, show_largest
from benchmarks.kernels import kernels
from resnet_jax import experiment, main, train
from resnet_jax.config import checks
from resnet_jax.shell import shell
from resnet_jax.state import TrainMetrics


def run() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__.splitlines()[0],
    epilog='Fields of the config are set by --config.FIELD=VALUE.',
  )
  parser.add_argument('config', help='config file')
  parser.add_argument('--devices', type=int, default=1, help='H100s of a host')
  parser.add_argument(
    '--batch', type=int, help="examples, in the config's place"
  )
  parser.add_argument(
    '--largest',
    type=int,
    default=0,
    metavar='N',
    help='list the N kernels that move most bytes',
  )
  parser.add_argument('--json', type=pathlib.Path, help='write the figures')
  parser.add_argument('--hlo', type=pathlib.Path, help='write the program')
  arguments, fields = parser.parse_known_args()
  with shell():
    gpu_target.prepare(arguments.devices)
    main.parse_flags(['', f'--config={arguments.config}', *fields])
    config = flags.FLAGS.config
    if arguments.batch:
      config.batch_size = arguments.batch
    compiled, seconds = compile_step(config, arguments.devices)
    text = compiled.as_text()
    program = hlo.parse(text)
    found = kernels(program)
    report = describe(program, found) | memory(
      compiled, config, arguments.devices
    )
    report = (
      {
        'config': arguments.config,
        'fields': fields,
        'batch': config.batch_size,
        'devices': arguments.devices,
        'jax': jax.__version__,
      }
      | report
      | seconds
    )
    show(report)
    show_largest(found, arguments.largest)
    if arguments.json:
      arguments.json.write_text(json.dumps(report, indent=2) + '\n')
    if arguments.hlo:
      arguments.hlo.write_text(text)


def compile_step(
  config: ml_collections.ConfigDict, devices: int
) -> tuple[Any, dict[str, float]]:
  """The compiled training step, and the seconds that it took.

  Raises:
    UserError: the config cannot be run so, or the plugin is missing.
  """
  h100s = gpu_target.h100s(devices)
  checks.check(config)
  run = experiment.build(config, loader=blank_data.load)
  arguments = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype),
    (
      jax.eval_shape(run.initial_state),
      jax.eval_shape(TrainMetrics.empty),
      *run.feed.at(0),
    ),
  )
  step: Any = train.build_step(run, h100s)
  start, cpu_start = time.monotonic(), time.process_time()
  lowered = step.lower(*arguments)
  traced, cpu_traced = time.monotonic(), time.process_time()
  compiled = lowered.compile()
  return compiled, {
    'trace_seconds': traced - start,
    'trace_cpu_seconds': cpu_traced - cpu_start,
    'compile_seconds': time.monotonic() - traced,
    'compile_cpu_seconds': time.process_time() - cpu_traced,
  }


if __name__ == '__main__':
  run()
