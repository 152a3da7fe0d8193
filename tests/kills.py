"""Kills runs at random moments, until they have ended as ones that never were.

  python -m tests.kills --count=300 --seed=0

Runs of one and of two hosts are trained on a few digits. At a random moment one
of their processes, or all, get SIGKILL, or one gets SIGTERM; then the same
command goes on. Whatever was saved must still be there each time, the other
host must end by itself, and at the end every array and every error must equal,
bit for bit, those of a run that nothing happened to.
"""

import argparse
import collections
import dataclasses
import json
import multiprocessing
import os
import pathlib
import random
import signal
import socket
import statistics
import tempfile
import time

import numpy as np

from resnet_jax.runs import checkpoint, history
from tests import command

# Seconds within which a host must follow another that was killed.
FOLLOWS = 40
STEPS = 40


@dataclasses.dataclass
class Tally:
  """What was done, and what came of it, for one number of hosts."""

  kills: int = 0
  by: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  during: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  seconds: dict[str, list[float]] = dataclasses.field(
    default_factory=lambda: collections.defaultdict(list)
  )
  runs: int = 0
  goodput: list[float] = dataclasses.field(default_factory=list)


class Job:
  """The processes of one attempt, forked from one that has all imported."""

  def __init__(self, arguments, hosts, folder):
    with socket.create_server(('127.0.0.1', 0)) as probe:
      port = probe.getsockname()[1]
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['resnet_jax.main'])
    self.files = [folder / f'host{i}.log' for i in range(hosts)]
    self.processes = []
    for i, file in enumerate(self.files):
      for path in (file, file.with_suffix('.err')):
        path.write_text('')
      words = list(arguments)
      if hosts > 1:
        words += [f'--coordinator=127.0.0.1:{port}', f'--host={i}']
        words.append(f'--num_hosts={hosts}')
      self.processes.append(
        context.Process(
          target=command.forked,
          args=('resnet_jax.main', words, 1, None, None),
          kwargs={
            'files': [file, file.with_suffix('.err')],
            'environment': {},
          },
        )
      )
      self.processes[-1].start()

  def wait(self, seconds):
    end = time.monotonic() + seconds
    for process in self.processes:
      process.join(max(end - time.monotonic(), 0.01))
    return all(process.exitcode is not None for process in self.processes)

  def output(self):
    paths = [p for f in self.files for p in (f, f.with_suffix('.err'))]
    return '\n'.join(path.read_text() for path in paths)

  def end(self):
    for process in self.processes:
      process.kill()
      process.join()


def saved(workdir):
  """Steps of finished checkpoints, and whether one is being written."""
  folder = workdir / 'checkpoints' / 'latest'
  names = [path.name for path in folder.glob('*')] if folder.is_dir() else []
  steps = {int(name) for name in names if name.isdigit()}
  return max(steps, default=0), any('tmp' in name for name in names)


def phase(output):
  """What the first host was doing, by its log."""
  words = {
    'step ': 'in the loop',
    'recomputing': 'at the end',
    'test error': 'at the end',
    'compiling': 'compiling',
    'compiled': 'in the loop',
    'resumed': 'compiling',
    'restoring': 'restoring',
    'initializing': 'initializing',
    'loading': 'loading',
  }
  for line in reversed(output.splitlines()):
    for beginning, name in words.items():
      if line.startswith(beginning):
        return name
  return 'starting'


def attack(job, workdir, rng, tally):
  """Kills or stops processes of a job that runs, and sees how all end."""
  # Before, one of several hosts cannot say that it ends, and of one there is
  # nothing to lose.
  while 'resnet_jax ' not in (first := job.files[0].read_text()):
    if job.wait(0.05):
      return
  writing = saved(workdir)[1]
  kind = rng.choice(['SIGKILL', 'SIGKILL', 'SIGKILL of all', 'SIGTERM'])
  if kind == 'SIGKILL of all' and len(job.processes) == 1:
    kind = 'SIGKILL'
  number = signal.SIGTERM if kind == 'SIGTERM' else signal.SIGKILL
  victims = job.processes
  if kind != 'SIGKILL of all':
    victims = [rng.choice(job.processes)]
  alive = [p for p in victims if p.is_alive()]
  if not alive:
    return
  start = time.monotonic()
  for process in alive:
    os.kill(process.pid, number)
  assert job.wait(FOLLOWS + 60), f'{kind}: not all have ended\n{job.output()}'
  tally.seconds[kind].append(time.monotonic() - start)
  tally.kills += 1
  tally.by[kind] += 1
  tally.during['writing a checkpoint' if writing else phase(first)] += 1
  for process in job.processes:
    code = process.exitcode
    allowed = {-number} if process in alive else {75}
    if kind == 'SIGTERM':
      allowed = {143}
    # Or all was done by then, and written.
    allowed |= {0} if (workdir / 'results.json').exists() else set()
    assert code in allowed, f'{kind}: exit code {code}\n{job.output()}'
  assert 'Traceback' not in job.output(), job.output()


def assert_same(workdir, reference):
  for series in ('latest', 'recomputed'):
    one, two = (
      checkpoint.read_step(folder / 'checkpoints' / series / str(STEPS))
      for folder in (workdir, reference)
    )
    assert one.arrays.keys() == two.arrays.keys()
    for name, x in one.arrays.items():
      np.testing.assert_array_equal(two.arrays[name], x, err_msg=name)
  errors = [
    [
      (r['step'], r['split'], r['error'], r['loss'])
      for r in history.read_metrics(folder)
    ]
    for folder in (workdir, reference)
  ]
  assert errors[0] == errors[1]
  results = [
    json.loads((folder / 'results.json').read_text())['results']
    for folder in (workdir, reference)
  ]
  assert results[0] == results[1]


def run_one(arguments, hosts, folder, rng, tally, *, seconds, most):
  """Trains one run to its end, with kills on the way; returns its folder.

  An attempt is killed at a random moment of the first `seconds`, which become
  more from attempt to attempt, since all come to nothing on a slow machine.
  """
  workdir = folder / f'run{hosts}-{tally.runs}'
  words = [*arguments, f'--workdir={workdir}']
  known = 0
  while True:
    job = Job(words, hosts, folder)
    try:
      before = tally.kills
      if tally.kills < most and not job.wait(rng.uniform(0, seconds)):
        attack(job, workdir, rng, tally)
        if tally.kills > before and tally.kills % 10 == 0:
          print(f'  hosts: {hosts}, kills: {tally.kills} of {most}', flush=True)
      seconds *= 1.1
      assert job.wait(600), job.output()
      codes = [process.exitcode for process in job.processes]
    finally:
      job.end()
    if tally.kills == before:
      assert codes == [0] * hosts, job.output()
    newest, _ = saved(workdir)
    assert newest >= known, f'step {known} is lost: {newest}\n{job.output()}'
    known = newest
    if codes == [0] * hosts:
      tally.runs += 1
      content = json.loads((workdir / 'results.json').read_text())
      if 'goodput' in content:
        tally.goodput.append(content['goodput'])
      return workdir


def main(argv=None):
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--count', type=int, default=300, help='kills in all')
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  parser.add_argument(
    '--hosts', type=int, nargs='+', default=[1, 2], help='numbers of hosts'
  )
  options = parser.parse_args(argv)
  # The network is tiny, and every start compiles it.
  os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = '1'
  cache = pathlib.Path(tempfile.gettempdir(), 'resnet_jax-xla-kills')
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(cache)
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    command.write_digits(folder / 'digits.npz')
    arguments = [
      *command.TINY,
      f'--config.dataset.npz={folder}/digits.npz',
      f'--config.duration={STEPS}',
    ]
    for hosts in options.hosts:
      attack_all(arguments, hosts, folder, options)


def attack_all(arguments, hosts, folder, options):
  """Kills runs of so many hosts, and prints what came of it."""
  rng, tally = random.Random(options.seed), Tally()
  reference, again = (
    run_one(arguments, hosts, folder, rng, Tally(runs=i), seconds=0, most=0)
    for i in (-1, -2)
  )
  assert_same(again, reference)
  most = options.count // len(options.hosts)
  seconds = 8.0
  while tally.kills < most:
    start, before = time.monotonic(), tally.kills
    workdir = run_one(
      arguments, hosts, folder, rng, tally, seconds=seconds, most=most
    )
    # The machine's speed varies: so long did an attempt take.
    seconds = (time.monotonic() - start) / (tally.kills - before + 1)
    assert_same(workdir, reference)
  print(
    f'{hosts} host{"s" * (hosts > 1)}: {tally.kills} kills, none lost '
    f'anything; {tally.runs} runs ended bit-equal to one that was not killed'
  )
  print('  by', dict(tally.by))
  print('  while', dict(tally.during))
  for kind, seconds in tally.seconds.items():
    print(
      f'  {kind}: all hosts had ended after {statistics.median(seconds):.2f} s '
      f'(median), {max(seconds):.2f} s at most'
    )
  if tally.goodput:
    print(f'  goodput {statistics.mean(tally.goodput):.2f} (mean of the runs)')


if __name__ == '__main__':
  main()
