"""What one run takes: its processes, one after the other, and its files."""

import dataclasses
import pathlib
from collections.abc import Sequence

from resnet_jax.errors import UserError
from resnet_jax.paper import records
from resnet_jax.paper.cost import training_macs
from resnet_jax.paper.processes import Processes, locked
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target
from resnet_jax.runs import telemetry


@dataclasses.dataclass(frozen=True)
class Options:
  """How to run.

  Attributes:
    root: folder of all runs.
    parallel: number of runs at a time.
    cpu_devices: number of devices that each run makes of the CPU.
  """

  root: pathlib.Path
  parallel: int = 1
  cpu_devices: int = 1


class Job:
  """A run and what is still missing of it, made one process after the other."""

  def __init__(self, run: Run, target: Target, options: Options) -> None:
    self.run = run
    self.total_work = training_macs(run)
    self.running = False
    self._target, self._options = target, options
    self._folder = options.root / run.name
    self._missing = missing(options.root, run, target)

  @property
  def done(self) -> bool:
    return not self._missing

  def do(self, processes: Processes) -> None:
    """Makes what is missing.

    Raises:
      UserError: a process failed, or the folder is in use or not writable.
      Interrupted: after a signal.
    """
    self.running = True
    try:
      telemetry.make_workdir(self._folder, '--runs')
      with locked(self._folder) as lock:
        for stage, output in list(self._missing.items()):
          command = self._command(stage, output)
          log = self._folder / 'log.txt'
          processes.run(command, log, output=output, inherited=[lock])
          del self._missing[stage]
    finally:
      self.running = False

  def work_done(self) -> float:
    """Multiply-adds so far; what comes after training counts as nothing."""
    if 'training' not in self._missing:
      return self.total_work
    return self.total_work * self._step() / self.run.steps()

  def __str__(self) -> str:
    stage = next(iter(self._missing), 'done')
    if stage == 'training':
      stage = f'step {self._step():,}/{self.run.steps():,}'
    return f'{self.run.name}: {stage}'

  def _step(self) -> int:
    metrics = telemetry.read_metrics(self._folder)
    return metrics[-1]['step'] if metrics else 0

  def _command(self, stage: str, output: pathlib.Path) -> list[str]:
    if stage == 'training':
      # metrics.jsonl has all that TensorBoard would be told.
      quiet = '--config.run.tensorboard=False'
      return [
        *main_command(self.run, self._options),
        quiet,
        f'--workdir={self._folder}',
      ]
    checkpoint = trained(self._folder)
    if stage == 'testing':
      return eval_command(
        self.run, self._target, self._options, output, [checkpoint]
      )
    flag = f'--output={output}'
    return ['resnet_jax.paper', 'responses', str(checkpoint), flag]


def missing(
  root: pathlib.Path, run: Run, target: Target
) -> dict[str, pathlib.Path]:
  """Files that the target wants of a run and that are not there, by stage."""
  files = records.outputs(
    root / run.name, run, target.views, target.measures_responses
  )
  return {stage: file for stage, file in files.items() if not file.exists()}


def main_command(run: Run, options: Options) -> list[str]:
  return [
    'resnet_jax.main',
    *run.flags(),
    f'--cpu_devices={options.cpu_devices}',
  ]


def eval_command(
  run: Run,
  target: Target,
  options: Options,
  output: pathlib.Path,
  checkpoints: Sequence[pathlib.Path],
) -> list[str]:
  """The command that tests checkpoints on the views of a target."""
  return [
    *main_command(run, options),
    '--mode=eval',
    f'--config.test.views={target.views}',
    f'--results={output}',
    *(f'--checkpoint={path}' for path in checkpoints),
  ]


def trained(folder: pathlib.Path) -> pathlib.Path:
  """The checkpoint that a run ends with; BN recomputed, if it was.

  Raises:
    UserError: it is gone.
  """
  for series in ('recomputed', 'latest'):
    steps = [
      path
      for path in (folder / 'checkpoints' / series).glob('*')
      if path.name.isdigit()
    ]
    if steps:
      return max(steps, key=lambda path: int(path.name))
  raise UserError(
    f'{folder} has no checkpoint any more, so that nothing can be measured on '
    f'it; delete the folder to train it anew'
  )
