"""Trains and tests the runs of a target that are not done yet.

Each run is a process of its own, `python -m resnet_jax.main`, so that a failure
leaves the others unharmed. Its output is in `log.txt` of its folder.
"""

import dataclasses
import functools
import logging
import pathlib
import time
from collections.abc import Sequence

from resnet_jax.console import clock_face
from resnet_jax.errors import UserError
from resnet_jax.paper import records
from resnet_jax.paper.cost import training_macs
from resnet_jax.paper.processes import Processes, available_cores, locked
from resnet_jax.paper.results import DamagedError
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target
from resnet_jax.runs.history import read_metrics
from resnet_jax.runs.workdir import make_workdir

_log = logging.getLogger('resnet_jax')


def run_target(
  target: Target,
  runs: Sequence[Run],
  *,
  root: pathlib.Path,
  parallel: int = 1,
  cpu_devices: int = 1,
) -> dict[str, str]:
  """Trains and tests each of `runs`, as far as its files are missing.

  Args:
    target: The table or figure.
    runs: Those of its runs that are asked for.
    root: Folder of all runs.
    parallel: Number of runs at a time.
    cpu_devices: Number of devices that each run makes of the CPU.

  Returns:
    What went wrong, by the name of what failed; the rest is done.

  Raises:
    UserError: nothing can be written to the folder of the runs, or the mean
      image cannot be computed.
    Interrupted: SIGTERM, SIGINT or SIGHUP; what was running has saved.
  """
  make_workdir(root, '--runs')
  failures, own = {}, []
  for run in runs:
    try:
      _set_damaged_aside(root, run, target)
      own.append(run)
    except (UserError, OSError) as e:
      failures[run.name] = str(e)
      _log.warning('%s failed: %s', run.name, e)
  left = [run for run in own if records.missing(root, run, target)]
  done = len(own) - len(left)
  _log.info('%s: %d runs, of which %d are done', target.name, len(runs), done)
  with Processes(parallel, root / '.compiled') as processes:
    todo = _Todo(target, own, root, cpu_devices, processes)
    if left:
      todo.compute_mean_image(left[0])
    tasks = {run.name: functools.partial(todo.do, run) for run in left}
    failures |= processes.do(tasks, todo.progress)
    if target.ensemble and failures:
      failures['ensemble'] = 'some of its networks are missing'
    elif target.ensemble and len(runs) > 1:
      failures |= todo.test_ensemble()
  return failures


def is_done(root: pathlib.Path, run: Run, target: Target) -> bool:
  """Whether a run has left all files that the target wants of it."""
  try:
    record = records.find(root, run)
    if record is None or records.missing(root, run, target):
      return False
    _read_all(record, target)
  except UserError:
    return False
  return True


def default_parallel(target: Target) -> int:
  """One run at a time, or one for each core where one core is enough."""
  return min(len(available_cores()), 8) if target.one_core else 1


@dataclasses.dataclass
class _Todo:
  """The runs of a target, with the commands that they take."""

  target: Target
  runs: Sequence[Run]
  root: pathlib.Path
  cpu_devices: int
  processes: Processes

  def __post_init__(self) -> None:
    self._running: list[Run] = []
    # Multiply-adds of training; tests after it count as nothing.
    self._work = {run: training_macs(run) for run in self.runs}
    self._work_before = self._work_done()
    self._start = time.monotonic()

  def do(self, run: Run) -> None:
    """Makes the missing files of a run, one process after the other."""
    folder = self.root / run.name
    make_workdir(folder, '--runs')
    self._running.append(run)
    try:
      with locked(folder) as lock:
        for stage, output in self._missing(run).items():
          command, log = self._command(run, stage, output), folder / 'log.txt'
          self.processes.run(command, log, output=output, inherited=[lock])
    finally:
      self._running.remove(run)

  def progress(self) -> str:
    """The share that is done, the time left, and the runs under way."""
    done, total = self._work_done(), sum(self._work.values())
    finished = sum(not self._missing(run) for run in self.runs)
    share = f'{100 * done / total:.0f} % of the work'
    words = [f'{finished}/{len(self.runs)} runs, {share}']
    if self._work_before < done < total:
      elapsed = time.monotonic() - self._start
      left = elapsed * (total - done) / (done - self._work_before)
      words.append(f'{clock_face(left)} left')
    for run in list(self._running):
      stage = next(iter(self._missing(run)), 'done')
      if stage == 'training':
        stage = f'step {_step(self.root / run.name):,}/{run.steps():,}'
      words.append(f'{run.name}: {stage}')
    return '; '.join(words)

  def compute_mean_image(self, run: Run) -> None:
    """Computes the mean image of the pictures of a run, if it subtracts one."""
    dataset = run.configuration().dataset
    if dataset.crop_size and dataset.mean == 'pixel':
      _log.info('the mean image of the training pictures ...')
      command, log = self._main(run, '--mode=mean_image'), 'mean_image.log'
      task = functools.partial(self.processes.run, command, self.root / log)
      for reason in self.processes.do({'mean image': task}).values():
        raise UserError(reason)

  def test_ensemble(self) -> dict[str, str]:
    """Tests the networks together, unless that is done; returns failures."""
    name = self.target.name
    output = records.ensemble_file(self.root, name, self.runs)
    try:
      if records.ensemble(self.root, self.target, self.runs):
        return {}
    except DamagedError as e:
      _log.warning(e.set_aside())
    _log.info('%d networks together ...', len(self.runs))

    def task() -> None:
      command = self._test(self.runs, output)
      self.processes.run(command, output.with_suffix('.log'), output=output)

    return self.processes.do({output.stem: task})

  def _missing(self, run: Run) -> dict[str, pathlib.Path]:
    return records.missing(self.root, run, self.target)

  def _work_done(self) -> float:
    done = 0.0
    for run, work in self._work.items():
      share = 1.0
      if 'training' in self._missing(run):
        share = _step(self.root / run.name) / run.steps()
      done += share * work
    return done

  def _command(self, run: Run, stage: str, output: pathlib.Path) -> list[str]:
    if stage == 'training':
      # metrics.jsonl holds the same numbers.
      quiet = '--config.run.tensorboard=False'
      return self._main(run, quiet, f'--workdir={output.parent}')
    if stage == 'testing':
      return self._test([run], output)
    checkpoint = _checkpoint(output.parent)
    # The name of a TFDS set is then the user's own `--dataset`.
    trust = ['--trust_data'] * ('dataset.name' in dict(run.overrides))
    command = ['resnet_jax.paper', 'responses', checkpoint, *trust]
    return [*command, f'--output={output}']

  def _test(self, runs: Sequence[Run], output: pathlib.Path) -> list[str]:
    return self._main(
      runs[0],
      '--mode=eval',
      f'--config.test.views={self.target.views}',
      f'--results={output}',
      *(f'--checkpoint={_checkpoint(self.root / run.name)}' for run in runs),
    )

  def _main(self, run: Run, *flags: str) -> list[str]:
    devices = f'--cpu_devices={self.cpu_devices}'
    return ['resnet_jax.main', *run.flags(), devices, *flags]


def _step(folder: pathlib.Path) -> int:
  """The last step that a run has recorded."""
  metrics = read_metrics(folder, warn=False)
  return metrics[-1]['step'] if metrics else 0


def _checkpoint(folder: pathlib.Path) -> str:
  """The checkpoint that a run ends with; BN recomputed, if it was.

  Raises:
    UserError: it is gone.
  """
  path = records.last_checkpoint(folder)
  if path:
    return str(path)
  raise UserError(
    f'{folder} has no checkpoint any more, so that nothing can be measured on '
    f'it; delete the folder to train it anew'
  )


def _set_damaged_aside(root: pathlib.Path, run: Run, target: Target) -> None:
  """Renames damaged files of a run, so that they are made anew.

  Raises:
    UserError: the folder belongs to another run.
  """
  while True:
    try:
      record = records.find(root, run)
      if record:
        _read_all(record, target)
      return
    except DamagedError as e:
      _log.warning(e.set_aside())


def _read_all(record: records.Record, target: Target) -> None:
  """Reads what the target wants of a run, as far as it is there."""
  if target.views:
    record.evaluation(target.views)
  if target.measures_responses:
    record.layer_responses()
