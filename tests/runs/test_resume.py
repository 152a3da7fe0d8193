"""A run that was killed, and one that was not, end bit-equal."""

import json
import random
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from resnet_jax.runs import checkpoint, history
from tests import command
from tests.command import arguments

# Not the seconds and rates, which no two runs share.
RESULTS = (
  'step',
  'split',
  'loss',
  'error',
  'learning_rate',
  'examples',
  'wrong',
)


def assert_same_end(workdir, uncut):
  ours, theirs = (
    checkpoint.read_step(w / 'checkpoints' / 'latest' / '30')
    for w in (workdir, uncut)
  )
  assert ours.arrays.keys() == theirs.arrays.keys()
  for name, x in theirs.arrays.items():
    np.testing.assert_array_equal(ours.arrays[name], x, err_msg=name)
  records = [
    [
      {key: r[key] for key in RESULTS if key in r}
      for r in history.read_metrics(w)
    ]
    for w in (workdir, uncut)
  ]
  assert records[0] == records[1]


def wait_for(process, path, pattern):
  """Returns when a file like `pattern` is in `path`."""
  deadline = time.monotonic() + 120
  while not list(path.glob(pattern)):
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < deadline
    time.sleep(0.002)


def kill(process):
  """Kills a process that is alive, and sees that it died of it."""
  assert process.poll() is None, process.communicate()
  process.send_signal(signal.SIGKILL)
  process.communicate()
  assert process.returncode == -signal.SIGKILL


def test_killed_at_a_random_moment_after_a_save(
  tmp_path, digits_npz, finished_run
):
  words = arguments(digits_npz, tmp_path)
  process = command.start(*words)
  wait_for(process, tmp_path / 'checkpoints' / 'latest', '5/meta')
  time.sleep(random.random() / 2)
  kill(process)
  out = command.run_well(*words)
  assert 'resumed at step' in out
  assert_same_end(tmp_path, finished_run)


@pytest.mark.slow
def test_killed_during_a_save(tmp_path, digits_npz, finished_run):
  words = arguments(digits_npz, tmp_path)
  folder = tmp_path / 'checkpoints' / 'latest'
  process = command.start(*words)
  # The second save: there is one before, and this one is not finished.
  wait_for(process, folder, '5/meta')
  wait_for(process, folder, '10.orbax-checkpoint-tmp*')
  kill(process)
  assert not (folder / '15').exists()
  out = command.run_well(*words)
  assert 'resumed at step' in out
  assert not list(folder.glob('*tmp*'))
  assert_same_end(tmp_path, finished_run)


@pytest.mark.slow
def test_killed_again_and_again_anywhere(tmp_path, digits_npz, finished_run):
  words = arguments(digits_npz, tmp_path)
  hits = 0
  for _ in range(6):
    process = command.start(*words)
    lines = []
    reader = threading.Thread(target=lines.extend, args=(process.stdout,))
    reader.start()
    while not any('compiling' in line for line in lines):
      assert process.poll() is None, lines
      time.sleep(0.01)
    time.sleep(random.uniform(0, 1.5))
    if process.poll() is None:
      hits += 1
    process.kill()
    reader.join()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    if (tmp_path / 'results.json').exists():
      break
  assert hits  # at least one kill met a process that was training
  command.run_well(*words)
  assert_same_end(tmp_path, finished_run)


@pytest.mark.parametrize(
  'number',
  [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)],
)
def test_told_to_stop_it_saves_where_it_is(
  tmp_path, digits_npz, finished_run, number
):
  # No save but the one that the signal brings.
  words = arguments(
    digits_npz, tmp_path, '--config.run.checkpoint_every=60 minutes'
  )
  process = command.start(*words)
  wait_for(process, tmp_path, 'metrics.jsonl')
  while not history.read_metrics(tmp_path):
    assert process.poll() is None
    time.sleep(0.002)
  process.send_signal(number)
  out, err = process.communicate(timeout=60)
  assert process.returncode == 128 + number
  assert f'stopped by {number.name} at step' in out
  assert 'Traceback' not in out + err
  assert len(list((tmp_path / 'checkpoints' / 'latest').iterdir())) == 1
  assert 'resumed at step' in command.run_well(*words)
  assert_same_end(tmp_path, finished_run)


def test_a_finished_run_is_not_trained_further(
  finished_run, digits_npz, tmp_path
):
  uncut = shutil.copytree(finished_run, tmp_path / 'run')
  before = checkpoint.read_step(uncut / 'checkpoints' / 'latest' / '30')
  out = command.run_well(*arguments(digits_npz, uncut))
  assert 'resumed at step 30 of 30' in out
  after = checkpoint.read_step(uncut / 'checkpoints' / 'latest' / '30')
  for name, x in before.arrays.items():
    np.testing.assert_array_equal(after.arrays[name], x)


def test_the_best_is_chosen_by_validation_and_survives(tmp_path, digits_npz):
  words = arguments(
    digits_npz, tmp_path, '--config.dataset.validation_examples=40'
  )
  out = command.run_well(*words)
  records = history.read_metrics(tmp_path)
  errors = {
    r['step']: r['error'] for r in records if r['split'] == 'validation'
  }
  assert list(errors) == [10, 20, 30]
  # The test set is read at the very end, and nowhere before.
  assert not [r for r in records if r['split'] == 'test']
  assert out.count('test error') == 3  # running, recomputed, best
  first_best = min(errors, key=lambda step: (errors[step], step))
  folder = tmp_path / 'checkpoints' / 'best'
  assert [path.name for path in folder.iterdir()] == [str(first_best)]
  best = checkpoint.read_step(folder / str(first_best))
  assert best.meta['error'] == errors[first_best]


def test_eval_only_finds_what_the_loop_found(finished_run):
  uncut = finished_run
  results = json.loads((uncut / 'results.json').read_text())['results']
  out = command.run_well('--mode=eval', f'--workdir={uncut}')
  one = uncut / 'checkpoints' / 'recomputed' / '30'
  out_of_one = command.run_well('--mode=eval', f'--checkpoint={one}')
  for series, kind, text in (
    ('latest', 'running', out),
    ('recomputed', 'recomputed', out),
    ('recomputed', 'recomputed', out_of_one),
  ):
    found = results[kind]['test']
    line = next(line for line in text.splitlines() if f'/{series}/30' in line)
    assert f'({found["wrong"]} of 37), top-5' in line
    assert f'({found["wrong_top5"]}), loss {found["loss"]:.4f}' in line
  assert '/latest/' not in out_of_one
