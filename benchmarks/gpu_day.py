"""What to do on the day a GPU is at hand: check it, time it, train on it.

  python -m benchmarks.gpu_day --npz=cifar10.npz --out=runs/gpu_day
  python -m benchmarks.gpu_day --npz=cifar10.npz --out=runs/gpu_day --minutes=9

The same command goes on where the last call ended, so that it works where a
machine is lent for minutes only. In this order it

1. checks the device: scores and a step of training against float64 on the CPU,
   all devices against one, a run that is cut against one that is not;
2. measures throughput beside PyTorch, by `benchmarks.run`;
3. trains the paper's CIFAR-10 networks by `resnet_jax.main` with seed 0:
   ResNet-20, plain-20, ResNet-56, plain-56, ResNet-110, 32, 44;
4. measures the rest, and trains with seeds 1 to 4.

DIR/summary.md and DIR/summary.json say after every item what is known. A call
stops before its minutes are over: training is sent SIGTERM, and saves.

--npz is a file as `config.dataset.npz` wants it, see docs/extending.md. Needed
are JAX, Flax, Optax, Orbax, and PyTorch as the peer; neither TensorFlow nor
TFDS. Small wheels can travel to a machine without a network: where there is
one, put them into a folder that git ignores,

  pip download --no-deps --only-binary=:all: --platform=any -d runs/wheels \\
    absl-py clu ml-collections wrapt packaging rich pygments markdown-it-py \\
    mdurl etils

and on the machine unpack those that are missing or too old there:

  pip install --no-index --no-deps --find-links=runs/wheels \\
    --target=runs/site absl-py clu ml-collections wrapt packaging
  export PYTHONPATH=runs/site

--only="check,timing resnet20" does those items alone, and leaves the others to
later calls. --rehearse does everything with a network of 8 layers and a few
steps, in minutes on a CPU.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import gpu_items, gpu_summary, machine
from benchmarks.processes import NotYet
from benchmarks.rounds import Unavailable, facts

# Tries of an item that fails, or does not end within a call.
_TRIES = 2
_FAILURES = (
  OSError,
  RuntimeError,
  ValueError,
  Unavailable,
  subprocess.SubprocessError,
)


@dataclasses.dataclass
class Day:
  """The state of all calls, in DIR/state.json.

  Attributes:
    out: The folder of results.
    npz: The data to train on.
    rehearse: Whether all is made short.
    deadline: The end of this call, on the monotonic clock.
    done: Results by item.
    tries: Tries by item.
    seconds: Seconds by item, over all calls.
    machine: Hardware and versions.
  """

  out: pathlib.Path
  npz: pathlib.Path
  rehearse: bool
  deadline: float
  done: dict[str, Any]
  tries: dict[str, int]
  seconds: dict[str, float]
  machine: dict[str, Any]

  def left(self) -> float:
    """Seconds until the end of this call."""
    return self.deadline - time.monotonic()

  def environment(self, **more: str) -> dict[str, str]:
    """Variables of the processes that are started, with a cache of programs."""
    return os.environ | {
      'JAX_COMPILATION_CACHE_DIR': str(self.out / 'compiled'),
      **more,
    }

  def save(self) -> None:
    """Writes state.json and the summary."""
    content = {
      'done': self.done,
      'tries': self.tries,
      'seconds': self.seconds,
      'machine': self.machine,
      'rehearsal': self.rehearse,
    }
    file = self.out / 'state.json'
    draft = file.with_suffix('.draft')
    draft.write_text(json.dumps(content, indent=2) + '\n')
    draft.rename(file)
    gpu_summary.write(self.out, content)


def main(argv: Sequence[str] | None = None) -> None:
  arguments = _arguments(argv)
  signal.signal(signal.SIGTERM, _stop)
  day = _open(arguments)
  print(f'results are in {day.out}/summary.md', flush=True)
  for item in gpu_items.queue(day):
    if item.key in day.done or not item.key.startswith(arguments.only):
      continue
    if day.left() < item.least_seconds:
      print(f'{item.key}: left to the next call, the time is over')
      break
    print(f'{item.key} ...', flush=True)
    _do(day, item)
    print(f'  {gpu_summary.state_of(item.key, day.done)}', flush=True)
  else:
    print('all that was asked for is done')
    return
  print('the same command goes on')


def _do(day: Day, item: 'gpu_items.Item') -> None:
  """Tries an item; a second failure ends it."""
  start = time.monotonic()
  day.tries[item.key] = day.tries.get(item.key, 0) + 1
  try:
    result = item.run(day)
  except NotYet as e:
    result = None
    if e.advanced:  # a run that goes on has no bound on its calls
      day.tries[item.key] -= 1
    elif day.tries[item.key] >= _TRIES:
      result = {'passed': False, 'error': 'it did not end within a call'}
  except _FAILURES as e:
    text = str(e).strip()[-500:] or type(e).__name__
    result = None
    if day.tries[item.key] >= _TRIES:
      result = {'passed': False, 'error': text}
    print(f'  failed: {text}', file=sys.stderr)
  spent = time.monotonic() - start
  day.seconds[item.key] = day.seconds.get(item.key, 0.0) + spent
  if result is not None:
    day.done[item.key] = result
  day.save()


def _open(arguments: argparse.Namespace) -> Day:
  """The state of the last call, or a new one."""
  start = time.monotonic()
  out = arguments.out.absolute()
  out.mkdir(parents=True, exist_ok=True)
  file = out / 'state.json'
  content = json.loads(file.read_text()) if file.is_file() else {}
  if content and content['rehearsal'] != arguments.rehearse:
    raise SystemExit(f'error: {out} is of another kind of run; name another')
  described = machine.describe() | facts('benchmarks.ours:about', None)
  try:
    peer = facts('benchmarks.peers:about', None, {'JAX_PLATFORMS': 'cpu'})
  except Unavailable as e:
    peer = {'torch': f'not measured: {e.why}'}
  return Day(
    out=out,
    npz=arguments.npz.absolute(),
    rehearse=arguments.rehearse,
    deadline=start + 60 * arguments.minutes,
    done=content.get('done', {}),
    tries=content.get('tries', {}),
    seconds=content.get('seconds', {}),
    machine=described | {'peer': peer},
  )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    prog='python -m benchmarks.gpu_day',
    description=(__doc__ or '').splitlines()[0],
  )
  add = parser.add_argument
  add('--npz', type=pathlib.Path, required=True, help='CIFAR-10 as .npz')
  add('--out', type=pathlib.Path, required=True, help='folder of results')
  add('--minutes', type=float, default=9.0, help='length of this call')
  add(
    '--only',
    type=lambda words: tuple(words.split(',')),
    default=('',),
    metavar='NAME,...',
    help='items whose names begin so, such as check or train',
  )
  add('--rehearse', action='store_true', help='make all short')
  found = parser.parse_args(argv)
  if not found.npz.is_file():
    parser.error(f'there is no file {found.npz}')
  return found


def _stop(number: int, frame: object) -> None:
  raise KeyboardInterrupt


if __name__ == '__main__':
  try:
    main()
  except KeyboardInterrupt:
    print('stopped; the same command goes on', file=sys.stderr)
    sys.exit(128 + signal.SIGTERM)
