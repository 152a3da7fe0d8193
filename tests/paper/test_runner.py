"""The runner: what it starts, and records that are the same however made."""

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys

import pytest

from resnet_jax.errors import UserError
from resnet_jax.paper import cost, records, runner, targets
from resnet_jax.paper.processes import Processes
from resnet_jax.paper.runs import Member, Scale
from resnet_jax.runs.sessions import Goodput
from tests import command
from tests.data.streamed.pictures import write_folder
from tests.paper.recorded import row_of, shown, write_record

SMALL = ('degradation', '--seeds=1', '--depths=20', '--steps=12')


@pytest.fixture
def commands(monkeypatch):
  """Stands for processes: notes their commands, and leaves what they would."""
  noted = []

  def run(self, words, log_file, *, output=None, inherited=()):
    noted.append((log_file.parent.name, words))
    if log_file.name == 'log.txt':
      (lock,) = inherited
      os.fstat(lock)
    if '--config.seed=1' in words and output.name == 'results.json':
      raise UserError('no luck')
    if output.name == 'results.json':
      workdir = words[-1].removeprefix('--workdir=')
      (run,) = (r for r in EVERY_RUN if workdir.endswith(f'/{r.name}'))
      made = write_record(output.parents[1] / 'made', run, error=0.1)
      (made / 'results.json').rename(output)
      saved = ['latest/90', 'latest/300']
      if 'resnet' in run.name:
        saved.append('recomputed/300')
      for path in saved:
        (output.parent / 'checkpoints' / path).mkdir(parents=True)
    else:
      output.write_text('{}')

  monkeypatch.setattr(Processes, 'run', run)
  return noted


TARGET = targets.find('degradation')
EVERY_RUN = targets.in_order(TARGET, Scale(depths=(20,), seeds=2))


def test_what_is_missing_is_done_and_what_fails_is_named(tmp_path, commands):
  root = tmp_path / 'runs'
  failures = runner.run_target(TARGET, EVERY_RUN, root=root)
  assert failures == {
    'digits_plain20-seed1': 'no luck',
    'digits_resnet20-seed1': 'no luck',
  }
  assert [(name, words[0]) for name, words in commands] == [
    ('digits_plain20-seed0', 'resnet_jax.main'),
    ('digits_plain20-seed0', 'resnet_jax.paper'),
    ('digits_resnet20-seed0', 'resnet_jax.main'),
    ('digits_resnet20-seed0', 'resnet_jax.paper'),
    ('digits_plain20-seed1', 'resnet_jax.main'),
    ('digits_resnet20-seed1', 'resnet_jax.main'),
  ]
  folder = root / 'digits_plain20-seed0'
  assert commands[1][1][1:] == [
    'responses',
    f'{folder}/checkpoints/latest/300',
    f'--output={folder}/responses.json',
  ]
  # `{}` of the fake is no record of layer responses.
  assert not runner.is_done(root, EVERY_RUN[0], TARGET)
  responses = {
    'network': 'cifar_plain20',
    'step': 300,
    'images': 9,
    'definition': dict.fromkeys(
      ('split', 'images', 'pooling', 'statistics', 'batch_size')
    ),
    'layers': [{'std': 1.0}],
  }
  (folder / 'responses.json').write_text(json.dumps(responses))
  assert runner.is_done(root, EVERY_RUN[0], TARGET)
  assert not runner.is_done(root, EVERY_RUN[-1], TARGET)


def test_progress_counts_work_by_its_arithmetic(tmp_path, commands, caplog):
  runs = EVERY_RUN[:3]
  logger = logging.getLogger('resnet_jax')
  logger.addHandler(caplog.handler)
  caplog.set_level(logging.INFO, 'resnet_jax')
  try:
    # Seed 0 is done, and half of the third run, which then fails.
    begun = tmp_path / runs[-1].name
    begun.mkdir()
    lines = [{'step': 150, 'split': 'train', 'error': 0.9}]
    (begun / 'metrics.jsonl').write_text(json.dumps(lines[0]))
    failures = runner.run_target(TARGET, runs, root=tmp_path)
  finally:
    logger.removeHandler(caplog.handler)
  assert failures.keys() == {runs[-1].name}
  macs = [cost.training_macs(run) for run in runs]
  share = (macs[0] + macs[1] + macs[2] / 2) / sum(macs)
  assert f'2/3 runs, {100 * share:.0f} % of the work' in caplog.text


def test_what_is_damaged_is_set_aside_and_made_anew(tmp_path, commands):
  root = tmp_path / 'runs'
  run = EVERY_RUN[0]
  assert runner.run_target(TARGET, [run], root=root) == {}
  commands.clear()
  # `{}` of the fake is no record of layer responses.
  assert runner.run_target(TARGET, [run], root=root) == {}
  assert [words[1] for _, words in commands] == ['responses']
  folder = root / run.name
  assert (folder / 'responses.json.damaged').exists()
  commands.clear()
  (folder / 'responses.json').unlink()
  for path in folder.glob('checkpoints/*/*'):
    path.rmdir()
  (reason,) = runner.run_target(TARGET, [run], root=root).values()
  assert 'has no checkpoint any more' in reason and not commands


def test_an_ensemble_is_tested_when_all_its_networks_are_there(
  tmp_path, commands
):
  root = tmp_path / 'runs'
  target = targets.Target('table5', 'small', views='dense', ensemble=True)
  failures = runner.run_target(target, EVERY_RUN, root=root)
  assert failures['ensemble'] == 'some of its networks are missing'
  commands.clear()
  runs = [run for run in EVERY_RUN if run.seed == 0]
  assert runner.run_target(target, runs, root=root) == {}
  ((_, words),) = commands
  assert '--config.test.views=dense' in words
  plain, residual = (root / run.name / 'checkpoints' for run in runs)
  assert words[-2:] == [
    f'--checkpoint={plain}/latest/300',
    f'--checkpoint={residual}/recomputed/300',
  ]


def start(root, *words):
  return subprocess.Popen(
    [sys.executable, '-m', 'resnet_jax.paper', 'run', *words, f'--runs={root}'],
    cwd=command.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finished(process):
  out, _ = process.communicate(timeout=400)
  return process.returncode, out


# What became of the time differs from one way to the result to another.
GOODPUT = ['goodput', *(f.name for f in dataclasses.fields(Goodput))]


def essence(root):
  """The part of the records that is the same however they came about."""
  found = {}
  for file in sorted(root.glob('*/results.json')):
    content = json.loads(file.read_text())
    for key in ('seconds', 'environment', 'hash', *GOODPUT):
      del content[key]
    lines = (file.parent / 'metrics.jsonl').read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    for line in metrics:
      for key in ('images_per_second', 'input_wait', 'seconds_left', 'crc32'):
        line.pop(key, None)
    found[file.parent.name] = content, metrics
  return found


@pytest.mark.slow
def test_a_target_that_was_cut_ends_with_the_same_records(tmp_path):
  code, out = finished(start(tmp_path / 'whole', *SMALL))
  assert code == 0, out
  assert 'plain-20' in out and 'shrunk: 12 of 300 steps' in out
  cut = start(tmp_path / 'cut', *SMALL)
  metrics = tmp_path / 'cut' / 'digits_plain20-12steps-seed0' / 'metrics.jsonl'
  while cut.poll() is None:
    if metrics.exists() and metrics.read_text():
      break
  cut.send_signal(signal.SIGINT)
  code, out = finished(cut)
  assert code == 128 + signal.SIGINT, out
  assert 'goes on from here' in out
  code, out = finished(start(tmp_path / 'cut', *SMALL))
  assert code == 0, out
  whole = essence(tmp_path / 'whole')
  assert len(whole) == 2
  assert essence(tmp_path / 'cut') == whole
  # Runs that are done are not done again.
  before = metrics.stat().st_mtime_ns
  code, out = finished(start(tmp_path / 'cut', *SMALL))
  assert code == 0 and '2 are done' in out
  assert metrics.stat().st_mtime_ns == before


@pytest.mark.long
def test_a_failed_member_leaves_the_others_unharmed(tmp_path):
  """One folder is another run's; of the other, the record is damaged."""
  code, out = finished(start(tmp_path, *SMALL))
  assert code == 0, out
  good = essence(tmp_path)
  file = tmp_path / 'digits_plain20-12steps-seed0' / 'results.json'
  content = json.loads(file.read_text())
  content['config']['seed'] = 7
  file.write_text(json.dumps(content))
  damaged = tmp_path / 'digits_resnet20-12steps-seed0' / 'results.json'
  damaged.write_text('{')
  code, out = finished(start(tmp_path, *SMALL))
  assert code == 1
  assert 'digits_plain20-12steps-seed0' in out and 'seed is 7, not 0' in out
  assert 'results.json.damaged' in out
  name = damaged.parent.name
  assert essence(tmp_path)[name][0] == good[name][0]


@pytest.mark.long
def test_pictures_are_tested_in_all_views_and_together(tmp_path):
  """All stages of Tables 2 to 5 on a small folder, mean image to ensemble."""
  pytest.importorskip('tensorflow')
  folder = write_folder(tmp_path / 'pictures')
  fields = {
    'model.name': 'cifar_resnet8',
    'dataset.crop_size': 16,
    'augment.shorter_side': (17, 24),
    'test.shorter_side': 19,
    'batch_size': 8,
    'model.bn_group_size': 4,
    'bn_recompute_batches': 2,
    'run.eval_batch_size': 6,
  }
  member = Member('imagenet_resnet18', 2, tuple(fields.items()))
  target = targets.Target(
    'table5', 'small', (member,), views='ten_crop', ensemble=True
  )
  scale = Scale(dataset=str(folder), steps=4)
  runs = targets.in_order(target, scale)
  root = tmp_path / 'runs'
  assert runner.run_target(target, runs, root=root) == {}
  assert (folder / 'mean-224.npz').exists()
  for run in runs:
    record = records.find(root, run)
    error = record.evaluation('ten_crop').error
    assert 10 * error == pytest.approx(round(10 * error))  # of 10 pictures
    assert 'pictures (18 images)' in record.departures
  together = records.ensemble(root, 'table5', runs)
  assert 10 * together.error == pytest.approx(round(10 * together.error))
  text = shown(target, root, dataset=str(folder), steps=4)
  error = f'{100 * together.error_top5:.2f}'
  assert row_of(text, "ResNet (ILSVRC'15)")['ours'] == error
