"""The parts of a report: the sides that each compares, and its rows.

A row is a plain dict, as the JSON has it:

  part, network, batch, precision   what was measured; empty where it means
                                    nothing
  unit                              'images/s', 'images/CPU s', 's' or 'MB'
  sides     by name: rounds, median, spread (half of the range of the rounds)
  ratios    ours over a peer, by its name: median, spread, clear
  limit     rate that the machine would allow, and our share of it
  missing   why a side was not measured, by its name
"""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import inputs
from benchmarks.cases import Case, config_file, is_cifar, write_images
from benchmarks.limit import Work
from benchmarks.measure import Rates, ratio
from benchmarks.rounds import Unavailable, Worker, facts, interleave
from resnet_jax import malloc

EAGER, COMPILED, OURS = 'PyTorch', 'PyTorch compiled', 'ours'
# PyTorch in a process whose memory is kept as a run of ours keeps it.
KEPT = 'PyTorch, our malloc'
PEERS = {'eager': EAGER, 'malloc': KEPT, 'compile': COMPILED}
# Names of sides -> maker and spec.
Sides = Mapping[str, tuple[str, Any]]
Row = dict[str, Any]

_MB = 1e6
_CPU_IMAGENET_BATCH = 32
# Images of a batch in a run's evaluations, by kind of network.
_TESTED_BATCH = {True: 1000, False: 256}
_LOOP_SIDE = {'cpu': 8, 'gpu': 32}


@dataclasses.dataclass(frozen=True)
class Options:
  """How much is measured, and on what.

  Attributes:
    networks, batches, precisions: Cases; no batches are those of the recipes.
    peers: Names of PEERS.
    rounds: Turns of each side.
    seconds: Length of a turn.
    loop_steps: Steps of a run of the loop.
    pictures: A folder of JPEGs for the input; None writes some.
    folder: Where synthetic data go.
    backend: JAX's.
    rates: FLOPs and bytes per second of this machine, by precision.
  """

  networks: tuple[str, ...]
  batches: tuple[int, ...]
  precisions: tuple[str, ...]
  peers: tuple[str, ...]
  rounds: int
  seconds: float
  loop_steps: int
  pictures: str | None
  folder: pathlib.Path
  backend: str
  rates: Mapping[str, tuple[float, float]]


def train(options: Options) -> Iterator[Row]:
  """A training step: forward, backward, update; the batch is in memory."""
  for case in _cases(options, testing=False):
    sides = {OURS: ('benchmarks.ours:training', case)}
    sides |= _peers(options, 'training', case)
    yield _compare('train', case, sides, options)


def evaluate(options: Options) -> Iterator[Row]:
  """Tests: ours by a run's evaluation, the peer's forward pass alone."""
  for case in _cases(options, testing=True):
    sides = {OURS: ('benchmarks.ours:evaluation', case)}
    sides |= _peers(options, 'evaluation', case)
    yield _compare('eval', case, sides, options)


def read(options: Options) -> Iterator[Row]:
  """The input of pictures over a bare loop that decodes and resizes."""
  folder = options.pictures
  row = _row('input', 'pictures', None, '', 'images/CPU s')
  if folder is None:
    try:
      folder = str(inputs.write_pictures(options.folder / 'pictures'))
    except Unavailable as e:
      yield row | {'missing': {OURS: e.why}}
      return
  for antialias in (False, True):
    spec = inputs.Pictures(folder, antialias)
    sides = {
      OURS: ('benchmarks.inputs:ours', spec),
      'bare tf.data': ('benchmarks.inputs:bare', spec),
    }
    name = 'pictures, antialias' if antialias else 'pictures'
    row = _row('input', name, None, '', 'images/CPU s')
    yield _measure(row, sides, options)


def loop(options: Options) -> Iterator[Row]:
  """The training loop over its own bare step.

  On a CPU its images have 8x8 pixels, so that a step is about as short as it is
  on a GPU, and what is around it shows.
  """
  side = _LOOP_SIDE['cpu' if options.backend == 'cpu' else 'gpu']
  data = write_images(options.folder, side=side, classes=10, tests=128)
  for case in _cases(options, testing=False):
    if is_cifar(case.network):
      spec = (dataclasses.replace(case, data=data), options.loop_steps)
      sides = {
        OURS: ('benchmarks.ours:loop', spec),
        'bare step': ('benchmarks.ours:bare_loop', spec),
      }
      with tempfile.TemporaryDirectory() as cache:  # it compiles in each round
        yield _compare('loop', case, sides, options, _cached(cache))


def first(options: Options) -> Iterator[Row]:
  """The first step in a process of its own, without and with a cache."""
  for case in _cases(options, testing=False):
    with tempfile.TemporaryDirectory() as cache:
      for name in (case.network, f'{case.network}, cached'):
        row = _row('first', name, case.batch, case.precision, 's')
        try:
          found = facts('benchmarks.ours:first_step', case, _cached(cache))
        except Unavailable as e:
          row['missing'][OURS] = e.why
        else:
          parts = ('init', 'trace', 'compile', 'total')
          row['sides'] = {part: _side([found[part]]) for part in parts}
        if name == case.network:
          _fill_facts(row, _peers(options, 'training', case), 'first_step')
        yield row


def memory(options: Options) -> Iterator[Row]:
  """The peak memory of training steps, each side in a fresh process."""
  for case in _cases(options, testing=False):
    row = _row('memory', case.network, case.batch, case.precision, 'MB')
    sides = {OURS: ('benchmarks.ours:peak_memory', case)}
    sides |= _peers(options, 'peak_memory', case)
    _fill_facts(row, sides, 'peak', unit=_MB)
    yield row


PARTS = {
  'train': train,
  'eval': evaluate,
  'input': read,
  'loop': loop,
  'first': first,
  'memory': memory,
}


def _cases(options: Options, *, testing: bool) -> Iterator[Case]:
  from resnet_jax.config.file import load_config

  for network in options.networks:
    cifar = is_cifar(network)
    recipe = load_config(str(config_file(network)))
    usual = _TESTED_BATCH[cifar] if testing else recipe.batch_size
    if not cifar and options.backend == 'cpu':
      usual = _CPU_IMAGENET_BATCH
    for batch in options.batches or (usual,):
      data = write_images(
        options.folder,
        side=32 if cifar else 224,
        classes=10 if cifar else 1000,
        tests=2 * batch,
      )
      for precision in options.precisions:
        yield Case(network, batch, precision, data)


def _peers(options: Options, subject: str, case: Case) -> Sides:
  return {
    PEERS[name]: (
      f'benchmarks.peers:{subject}',
      dataclasses.replace(case, compiled=name == 'compile'),
    )
    for name in options.peers
  }


def _compare(
  part: str,
  case: Case,
  sides: Sides,
  options: Options,
  environment: Mapping[str, str] | None = None,
) -> Row:
  row = _row(part, case.network, case.batch, case.precision, 'images/s')
  return _measure(row, sides, options, environment)


def _measure(
  row: Row,
  sides: Sides,
  options: Options,
  environment: Mapping[str, str] | None = None,
) -> Row:
  """Fills in the rates of all sides, which take turns."""
  workers: dict[str, Worker] = {}
  try:
    for name, (maker, spec) in sides.items():
      try:
        workers[name] = Worker(
          maker, spec, _environment(name) | dict(environment or {})
        )
      except Unavailable as e:
        row['missing'][name] = e.why
    about = workers[OURS].facts if OURS in workers else {}
    rates = interleave(workers, rounds=options.rounds, seconds=options.seconds)
  except Unavailable as e:  # such as for want of memory
    row['missing'][' or '.join(workers)] = e.why
    return row
  finally:
    for worker in workers.values():
      worker.close()
  for name, rounds in rates.items():
    row['sides'][name] = _side(rounds)
    if name != OURS and OURS in rates:
      found = ratio(rates[OURS], rounds)
      row['ratios'][name] = _side(found.rounds.rounds) | {'clear': found.clear}
  machine = options.rates.get(row['precision'])
  if machine and 'flops' in about:
    least = Work(about['flops'], about['bytes']).seconds(*machine)
    limit = row['batch'] / least
    share = row['sides'][OURS]['median'] / limit
    bound = 'bytes' if about['bytes'] / machine[1] == least else 'arithmetic'
    row['limit'] = {'rate': limit, 'share': share, 'bound': bound}
  return row | {'facts': about}


def _fill_facts(
  row: Row, sides: Sides, fact: str, *, unit: float = 1.0
) -> None:
  """Fills in a fact of each side, each from a process of its own."""
  for name, (maker, spec) in sides.items():
    try:
      value = facts(maker, spec, _environment(name))[fact]
      row['sides'][name] = _side([value / unit])
    except Unavailable as e:
      row['missing'][name] = e.why


def _row(
  part: str, network: str, batch: int | None, precision: str, unit: str
) -> Row:
  return {
    'part': part,
    'network': network,
    'batch': batch,
    'precision': precision,
    'unit': unit,
    'sides': {},
    'ratios': {},
    'missing': {},
  }


def _side(rounds: list[float] | tuple[float, ...]) -> dict[str, Any]:
  rates = Rates(tuple(rounds))
  return {
    'rounds': list(rounds),
    'median': rates.median,
    'spread': rates.spread,
  }


def _cached(folder: str) -> dict[str, str]:
  """Variables that keep compiled programs in `folder`."""
  return {
    'JAX_COMPILATION_CACHE_DIR': folder,
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }


def _environment(side: str) -> dict[str, str]:
  """Variables of a side's process, where the two must not meet."""
  kept = {} if side in (EAGER, COMPILED) else malloc.settings()
  if side in PEERS.values():  # JAX is imported there, and leaves the GPU alone
    return {'JAX_PLATFORMS': 'cpu', **kept}
  fraction = 'XLA_CLIENT_MEM_FRACTION'  # JAX would take three quarters
  known = (fraction, 'XLA_PYTHON_CLIENT_MEM_FRACTION')
  if any(name in os.environ for name in known):
    return kept
  return {fraction: '0.4', **kept}
