"""The training runs of `gpu_day`, each by `resnet_jax.main`."""

import json
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.cases import ROOT
from benchmarks.processes import TO_SAVE, NotYet, newest_step, wait

if TYPE_CHECKING:
  from benchmarks.gpu_day import Day

NETWORKS = (
  'cifar_resnet20',
  'cifar_plain20',
  'cifar_resnet56',
  'cifar_plain56',
  'cifar_resnet110',
  'cifar_resnet32',
  'cifar_resnet44',
)
SEEDS = 5
# Flags of a run that is only to show that it works. The first lasts longer, so
# that a call's end can cut it.
_SHORT_STEPS = {'cifar_resnet20': 1000}
_SHORT = (
  '--config.batch_size=16',
  '--config.model.bn_group_size=8',
  '--config.bn_recompute_batches=2',
  '--config.run.log_every=5',
  '--config.run.eval_every=30',
  '--config.run.eval_batch_size=50',
)


def train(network: str, seed: int) -> Callable[['Day'], dict[str, Any]]:
  """A run by the paper's config, as far as the time of this call goes."""

  def run(day: 'Day') -> dict[str, Any]:
    workdir = day.out / 'runs' / f'{network}-seed{seed}'
    words = [*main_words(day, network, seed), f'--workdir={workdir}']
    before = newest_step(workdir)
    log_file = day.out / f'train-{network}-seed{seed}.txt'
    with log_file.open('a') as log:
      process = subprocess.Popen(
        [sys.executable, '-m', 'resnet_jax.main', *words],
        cwd=ROOT,
        env=day.environment(),
        stdout=log,
        stderr=log,
        start_new_session=True,
      )
      code = wait(process, day.left() - TO_SAVE, save=True)
    results = workdir / 'results.json'
    if results.is_file() and code == 0:
      return _result(results, words)
    if code in (None, 128 + signal.SIGTERM):
      raise NotYet(advanced=newest_step(workdir) > before)
    raise RuntimeError(f'code {code}; see {log_file}')

  return run


def main_words(day: 'Day', network: str, seed: int) -> list[str]:
  """The flags of a run, without those that say where it goes."""
  short: list[str] = []
  if day.rehearse:
    kind = 'plain' if 'plain' in network else 'resnet'
    steps = _SHORT_STEPS.get(network, 60)
    short = [
      *_SHORT,
      f'--config.duration={steps}',
      f'--config.model.name=cifar_{kind}8',
    ]
  return [
    f'--config=configs/{network}.py',
    f'--config.dataset.npz={day.npz}',
    f'--config.seed={seed}',
    '--config.run.tensorboard=False',
    '--config.run.checkpoint_every=2 minutes',
    *short,
  ]


def _result(file: pathlib.Path, words: list[str]) -> dict[str, Any]:
  """What the summary says of a finished run."""
  content = json.loads(file.read_text())
  return {
    'flags': ' '.join(words),
    'step': content['step'],
    'seconds': content['seconds'],
    'images_per_second': content['step']
    * content['config']['batch_size']
    / content['seconds']['train'],
    'errors': {
      form: {split: result['error'] for split, result in by_split.items()}
      for form, by_split in content['results'].items()
    },
  }
