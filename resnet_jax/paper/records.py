"""Records of runs, read from their files and compared with their configs.

A record is a run's `results.json`, its `metrics.jsonl`, and what was measured
on its checkpoints afterwards, beside them. Tables and figures are made from
records alone.
"""

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

from resnet_jax.config.file import result_changes, to_json
from resnet_jax.errors import UserError
from resnet_jax.paper.datasets import PAPER_DATA
from resnet_jax.paper.results import (
  DamagedError,
  LayerResponses,
  Score,
  number,
  reading,
)
from resnet_jax.paper.runs import Run
from resnet_jax.paper.targets import Target
from resnet_jax.runs.history import read_metrics
from resnet_jax.runs.meta import fingerprint_at


@dataclasses.dataclass(frozen=True)
class Record:
  """A run that is done; errors are in %.

  Attributes:
    run: The run.
    folder: The folder of its files.
    step: Last step of the run.
    split: The split to report: the test set, or else the validation set.
    score: Its final score, with BN statistics recomputed, as the authors do,
      if they were.
    error_in_loop: Top-1 error at the end of the curve, by running averages.
    departures: Words for what differs from the paper; '' if nothing does.
    seconds: Wall time of all sessions.
    environment: Devices, versions and commit of the last session.
    curves: Steps and errors by split.
  """

  run: Run
  folder: pathlib.Path
  step: int
  split: str
  score: Score
  error_in_loop: float
  departures: str
  seconds: float
  environment: dict[str, Any]
  curves: dict[str, list[tuple[float, float]]]

  @property
  def error(self) -> float:
    """Top-1 error at the end of training."""
    return 100 * self.score.error

  @property
  def train_error(self) -> float | None:
    """Training error of the last steps, on augmented images."""
    step, error = self.curves.get('train', [(0, 0.0)])[-1]
    # A metrics.jsonl that was cut short ends with an earlier step.
    return error if step == self.step else None

  def evaluation(self, views: str) -> Score | None:
    """The score on `views`; None where they have not been tested.

    Raises:
      DamagedError: the file is damaged, or of other weights.
      UserError: it is of another run, or of other views.
    """
    file = self.folder / f'results-{views}.json'
    if not file.exists():
      return None
    with reading(file) as content:
      _check_same(file, content['config'], self.run, views)
      _check_fresh(file, content.get('checkpoints'), [self.folder])
      (by_split,) = content['results'].values()  # of one network
      return Score.parse(by_split[self.split])

  def layer_responses(self) -> LayerResponses | None:
    """The responses of layers; None where they have not been measured.

    Raises:
      DamagedError: the file is damaged, or of another run or other weights.
    """
    file = self.folder / 'responses.json'
    if not file.exists():
      return None
    with reading(file) as content:
      own = self.run.configuration().model.name, self.step
      if (content['network'], content['step']) != own:
        raise ValueError(f'it is not of {self.run.name}')
      measured = (
        {'': content['checkpoint']} if 'checkpoint' in content else None
      )
      _check_fresh(file, measured, [self.folder])
      return LayerResponses.parse(content)


def find(root: pathlib.Path, run: Run) -> Record | None:
  """The record of `run`; None where it is not done.

  Raises:
    DamagedError: there is one that is damaged.
    UserError: the folder is another run's.
  """
  folder = root / run.name
  file, begun = folder / 'results.json', folder / 'config.json'
  if file.exists():
    with reading(file) as content:
      _check_same(file, content['config'], run)
      return _parse(content, run, folder)
  if begun.exists():
    with reading(begun) as content:
      _check_same(begun, content, run)
  return None


def ensemble_file(
  root: pathlib.Path, target: str, runs: Sequence[Run]
) -> pathlib.Path:
  """Where the score of `runs` together is kept."""
  names = ' '.join(sorted(run.name for run in runs))
  digest = hashlib.blake2b(names.encode(), digest_size=4).hexdigest()
  return root / f'ensemble-{target}{runs[0].suffix}-{len(runs)}-{digest}.json'


def ensemble(
  root: pathlib.Path, target: Target, runs: Sequence[Run]
) -> Score | None:
  """The score of `runs` together; None where they have not been tested.

  Raises:
    DamagedError: the file is damaged, or of other runs, weights or tests.
  """
  file = ensemble_file(root, target.name, runs)
  if not file.exists():
    return None
  with reading(file) as content:
    results = content['results']
    # The file also holds the score of each member, by its checkpoint.
    parts = {part for path in results for part in pathlib.Path(path).parts}
    if not parts >= {run.name for run in runs}:
      raise ValueError('it is not of these networks')
    changes = _changes(content['config'], runs[0], target.views)
    if changes:
      raise DamagedError(file, f'was tested otherwise: {"; ".join(changes)}')
    folders = [root / run.name for run in runs]
    _check_fresh(file, content.get('checkpoints'), folders)
    return Score.parse(results['ensemble']['validation'])


def last_checkpoint(folder: pathlib.Path) -> pathlib.Path | None:
  """The checkpoint that a run ends with; BN recomputed, if it was."""
  for series in ('recomputed', 'latest'):
    paths = (folder / 'checkpoints' / series).glob('*')
    steps = [path for path in paths if path.name.isdigit()]
    if steps:
      return max(steps, key=lambda path: int(path.name))
  return None


def missing(
  root: pathlib.Path, run: Run, target: Target
) -> dict[str, pathlib.Path]:
  """Files that the target wants of a run and that are not there, by stage."""
  names = {'training': 'results.json'}
  if target.views and run.configuration().dataset.crop_size:
    names['testing'] = f'results-{target.views}.json'
  if target.measures_responses and run.seed == 0:
    names['layer responses'] = 'responses.json'
  files = {stage: root / run.name / name for stage, name in names.items()}
  return {stage: file for stage, file in files.items() if not file.exists()}


def _parse(content: Any, run: Run, folder: pathlib.Path) -> Record:
  results = content['results']
  running = results['running']
  split = 'test' if 'test' in running else 'validation'
  departures = [run.departures, _other_data(content, run, split)]
  seconds = {k: number(s) for k, s in content['seconds'].items()}
  keys = ('devices', 'device', 'cpus', 'packages', 'commit')
  return Record(
    run=run,
    folder=folder,
    step=content['step'],
    split=split,
    score=Score.parse(results.get('recomputed', running)[split]),
    error_in_loop=100 * Score.parse(running[split]).error,
    departures='; '.join(filter(None, departures)),
    # The wait for input is within training.
    seconds=sum(seconds.values()) - seconds.get('input', 0),
    environment={key: content['environment'][key] for key in keys},
    curves=_curves(folder),
  )


def _curves(folder: pathlib.Path) -> dict[str, list[tuple[float, float]]]:
  curves: dict[str, list[tuple[float, float]]] = {}
  for line in read_metrics(folder):
    with contextlib.suppress(KeyError, TypeError, ValueError):
      point = number(line['step']), 100 * number(line['error'])
      curves.setdefault(line['split'], []).append(point)
  return curves


def _check_same(
  file: pathlib.Path, config: Any, run: Run, views: str | None = None
) -> None:
  """Refuses the config of another run, or of a test on other views."""
  words = _changes(config, run, views)
  if words:
    if len(words) > 3:
      words[3:] = [f'and {len(words) - 3} more']
    raise UserError(
      f'{file} is not of {run.name}: {"; ".join(words)}. Move the folder away, '
      f'or keep these runs elsewhere with --runs=DIR'
    )


def _changes(config: Any, run: Run, views: str | None) -> list[str]:
  """Words for each field of `config` that is not as `run` has it."""
  expected = run.configuration()
  if views:
    expected.test.views = views
  wanted = to_json(expected)
  changes = result_changes(config, wanted)
  if not run.on_paper_data:  # the paper's are known by their numbers
    for field in ('name', 'npz', 'folder'):
      pair = config['dataset'][field], wanted['dataset'][field]
      if pair[0] != pair[1]:
        changes[f'dataset.{field}'] = pair
  return [f'config.{k} is {a!r}, not {b!r}' for k, (a, b) in changes.items()]


def _check_fresh(
  file: pathlib.Path,
  tested: dict[str, str] | None,
  folders: Sequence[pathlib.Path],
) -> None:
  """Refuses what was measured on other weights than a run ends with now.

  Checkpoints that are gone decide nothing, as where records alone were kept.

  Args:
    file: For the message.
    tested: The fingerprints of the checkpoints that it is of, by their paths;
      None in files of 0.1 and 0.2, which do not say.
    folders: Those of the runs.

  Raises:
    DamagedError: a run has been trained anew since, or may have been.
  """
  for folder in folders:
    path = last_checkpoint(folder)
    now = fingerprint_at(path) if path else None
    if now and tested is None:
      raise DamagedError(
        file,
        f'is of version 0.2 or before, and may be of other weights: {path}',
      )
    if tested is not None and now and now not in tested.values():
      raise DamagedError(file, f'is stale: {path} holds other weights by now')


def _other_data(content: Any, run: Run, split: str) -> str:
  """Words for the data, if they are not the paper's of this name."""
  name = run.configuration().dataset.name
  if name not in PAPER_DATA:
    return ''
  train, test, classes = PAPER_DATA[name]
  examples = content['examples']
  found = content['num_classes'], sum(examples.values()), examples[split]
  # A validation split may have been held out of the training images.
  if found == (classes, train + test, test):
    return ''
  name = pathlib.Path(content['data_name']).name
  return f'{name} ({examples["train"]:,} images)'
