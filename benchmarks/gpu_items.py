"""The items of `gpu_day`, in their order: checks, timings, training runs."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from benchmarks import gpu_checks, gpu_training
from benchmarks.cases import ROOT, Case, write_images
from benchmarks.processes import NotYet, wait
from benchmarks.rounds import facts

if TYPE_CHECKING:
  from benchmarks.gpu_day import Day

_BATCH = 128
_TESTED = 256
# Words of `benchmarks.run`, by name: first what matters most.
_TIMINGS = {
  'resnet20': '--networks=cifar_resnet20 --only=train '
  '--precisions=float32,tensorfloat32 --peers=eager,compile',
  'resnet50-bfloat16': '--networks=imagenet_resnet50 --only=train '
  '--precisions=bfloat16 --peers=eager,compile',
  'eval': '--networks=cifar_resnet20 --only=eval --peers=eager',
  'eval-bfloat16': '--networks=imagenet_resnet50 --only=eval '
  '--precisions=bfloat16 --peers=eager,compile',
  'resnet110': '--networks=cifar_resnet110 --only=train --peers=eager',
}
_MORE_TIMINGS = {
  'first': '--networks=cifar_resnet20,cifar_resnet56,cifar_resnet110 '
  '--only=first --peers=none',
  'loop': '--networks=cifar_resnet20 --only=loop --loop_steps=2000',
  'memory': '--networks=cifar_resnet20 --only=memory --peers=eager',
  'memory-bfloat16': '--networks=imagenet_resnet50 --only=memory '
  '--precisions=bfloat16 --peers=eager',
  'resnet50': '--networks=imagenet_resnet50 --only=train,eval '
  '--peers=eager,compile',
  'resnet18-bfloat16': '--networks=imagenet_resnet18 --only=train,eval '
  '--precisions=bfloat16 --peers=eager,compile',
  'cifar-bfloat16': '--networks=cifar_resnet20,cifar_resnet110 --only=train '
  '--precisions=bfloat16 --peers=eager',
}
_REHEARSED_TIMING = (
  '--networks=cifar_resnet8 --only=train --batches=16 --rounds=2 '
  '--seconds=0.2 --peers=eager'
)
_LEAST = {'check': 60.0, 'timing': 60.0, 'train': 90.0}


@dataclasses.dataclass(frozen=True)
class Item:
  """One thing to do.

  Attributes:
    key: Its name, 'KIND NAME'.
    least_seconds: It is not begun with less time than this.
    run: Does it, and returns its result, which is JSON.
  """

  key: str
  least_seconds: float
  run: Callable[['Day'], dict[str, Any]]


def queue(day: 'Day') -> Iterator[Item]:
  """All items, in order."""
  least = {k: s / 2 if day.rehearse else s for k, s in _LEAST.items()}
  for kind in gpu_checks.TOLERANCES:
    yield Item(f'check {kind}', least['check'], _check_precision(kind))
  yield Item('check devices', least['check'], _check_devices)
  yield Item('check resume', least['check'], _check_resume)
  for name, words in _TIMINGS.items():
    yield Item(f'timing {name}', least['timing'], _time(name, words))
    if day.rehearse:
      break
  for seed in range(gpu_training.SEEDS):
    for network in gpu_training.NETWORKS:
      name = f'train {network} seed {seed}'
      yield Item(name, least['train'], gpu_training.train(network, seed))
    if day.rehearse:
      return
    if seed == 0:
      for name, words in _MORE_TIMINGS.items():
        yield Item(f'timing {name}', least['timing'], _time(name, words))


def _check_precision(kind: str) -> Callable[['Day'], dict[str, Any]]:
  """A step in one kind of arithmetic against float64 on the CPU."""

  def run(day: 'Day') -> dict[str, Any]:
    about = _step(day, kind, kind)
    # After the first, which writes the weights that all start from.
    if not (_folder(day) / 'float64.npz').is_file():
      _step(day, 'float64', 'float64', JAX_PLATFORMS='cpu')
    found = gpu_checks.compare(
      str(_folder(day) / f'{kind}.npz'),
      str(_folder(day) / 'float64.npz'),
      kind,
    )
    return found | about

  return run


def _check_devices(day: 'Day') -> dict[str, Any]:
  """A step on all devices against one on the first."""
  on_cpu = day.machine['backend'] == 'cpu'
  if day.machine['devices'] == 1 and not on_cpu:
    return {'passed': True, 'skipped': 'there is one device'}
  if _BATCH % day.machine['devices']:
    return {'passed': True, 'skipped': 'a batch of 128 cannot be shared out'}
  if on_cpu:
    about = _step(day, 'several', 'float32', devices=2)
    _step(day, 'one', 'float32', devices=1)
  else:
    about = _step(day, 'several', 'float32')
    _step(day, 'one', 'float32', CUDA_VISIBLE_DEVICES='0')
  several, one = (str(_folder(day) / f'{n}.npz') for n in ('several', 'one'))
  return gpu_checks.compare(several, one, 'float32') | about


def _check_resume(day: 'Day') -> dict[str, Any]:
  """A run that is cut and resumed against one that is not, bit for bit."""
  more = {}
  if day.machine['backend'] != 'cpu':
    # Not --xla_gpu_deterministic_ops, under which an H200 differed from run to
    # run. The choice among the algorithms that are left is in the compiled
    # program, which the runs share through their cache.
    flags = day.environment().get('XLA_FLAGS', '')
    more['XLA_FLAGS'] = f'{flags} --xla_gpu_exclude_nondeterministic_ops=true'
  words = gpu_training.main_words(day, 'cifar_resnet20', 0)
  words.append(f'--config.duration={60 if day.rehearse else 3000}')
  folder = _folder(day) / f'resume-{time.strftime("%H%M%S")}'
  folder.mkdir()
  try:
    return gpu_checks.resumed(
      folder, words, environment=day.environment(**more), timeout=day.left()
    )
  except subprocess.TimeoutExpired as e:
    raise NotYet(advanced=False) from e


def _time(name: str, words: str) -> Callable[['Day'], dict[str, Any]]:
  """Throughput by `benchmarks.run`."""

  def run(day: 'Day') -> dict[str, Any]:
    file = day.out / f'timing-{name}.json'
    chosen = _REHEARSED_TIMING if day.rehearse else words
    command = [sys.executable, '-m', 'benchmarks.run', *chosen.split()]
    with (day.out / f'timing-{name}.txt').open('w') as log:
      process = subprocess.Popen(
        [*command, f'--json={file}'],
        cwd=ROOT,
        env=day.environment(),
        stdout=log,
        stderr=log,
        start_new_session=True,
      )
      code = wait(process, day.left())
    if code is None:
      raise NotYet(advanced=False)
    if code:
      raise RuntimeError(f'code {code}; see {log.name}')
    return json.loads(file.read_text())

  return run


def _folder(day: 'Day') -> pathlib.Path:
  """The folder of the checks."""
  folder = day.out / 'checks'
  folder.mkdir(exist_ok=True)
  return folder


def _step(
  day: 'Day',
  name: str,
  precision: str,
  *,
  devices: int = 0,
  **environment: str,
) -> dict[str, Any]:
  """Does the step of a check, whose arrays go to NAME.npz."""
  folder = _folder(day)
  data = write_images(folder, side=32, classes=10, tests=_TESTED)
  network = 'cifar_resnet8' if day.rehearse else 'cifar_resnet20'
  spec = gpu_checks.Spec(
    case=Case(network, _BATCH, precision, data),
    file=str(folder / f'{name}.npz'),
    weights=str(folder / 'weights.npz'),
    devices=devices,
  )
  return facts(
    'benchmarks.gpu_checks:step', spec, day.environment(**environment)
  )
