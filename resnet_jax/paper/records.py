"""What runs have left: read, checked, and told apart from what is not theirs.

A record is a run's `results.json`, its `metrics.jsonl`, and what was measured
on its checkpoints afterwards, beside them. Tables and figures are made from
records alone.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any

from resnet_jax.config.file import result_changes, to_json
from resnet_jax.errors import UserError, first_line
from resnet_jax.paper.runs import PAPER_DATA, Run
from resnet_jax.runs.telemetry import read_metrics

_RESPONSES = {
  'definition': dict,
  'network': str,
  'step': int,
  'images': int,
  'layers': list,
}
# What `results.json` must hold to be one.
_KEYS = {
  'config': dict,
  'step': int,
  'data_name': str,
  'examples': dict,
  'num_classes': int,
  'results': dict,
  'seconds': dict,
  'environment': dict,
}


class DamagedError(UserError):
  """A file is no record, or no longer one."""

  def __init__(self, file: pathlib.Path, reason: str) -> None:
    super().__init__(
      f'{file} {reason}; delete it, and `run` makes it anew from the last '
      f'checkpoint'
    )
    self.file = file


class ForeignError(UserError):
  """A record is of another run than the one whose folder it is in."""


@dataclasses.dataclass(frozen=True)
class Record:
  """A run that is done.

  Attributes:
    run: that it is the record of.
    folder: where it lies.
    content: of `results.json`.
    curves: records of `metrics.jsonl`, by split.
  """

  run: Run
  folder: pathlib.Path
  content: dict[str, Any]
  curves: dict[str, list[dict[str, Any]]]

  @property
  def split(self) -> str:
    """The one to report: the test set, or else the validation set."""
    return 'test' if 'test' in self.results else 'validation'

  @property
  def results(self) -> dict[str, Any]:
    """By split, of the end of training; BN statistics as the authors' are."""
    results = self.content['results']
    return results.get('recomputed', results['running'])

  @property
  def error(self) -> float:
    """Top-1, in %, at the end of training."""
    return 100 * self.results[self.split]['error']

  @property
  def train_error(self) -> float | None:
    """In %, of the last steps: on augmented images, and on the way."""
    last = self.curves.get('train', [{'step': 0}])[-1]
    # Where metrics.jsonl was cut short, an earlier record is not the end's.
    return 100 * last['error'] if last['step'] == self.content['step'] else None

  @property
  def seconds(self) -> float:
    """Of wall time, over all sessions."""
    return sum(s for k, s in self.content['seconds'].items() if k != 'input')

  @property
  def departures(self) -> str:
    """In words, what is not the paper's; '' if nothing."""
    words = [self.run.departures] if self.run.departures else []
    if other := _other_data(self):
      words.append(other)
    return '; '.join(words)

  def evaluation(self, views: str) -> dict[str, Any] | None:
    """The result on `views`, by the keys of `scores.Result.to_json`.

    Raises:
      DamagedError: the file is damaged.
      ForeignError: it is of another run, or of other views.
    """
    file = evaluation_file(self.folder, views)
    if not file.exists():
      return None
    content = read(file, {'config': dict, 'results': dict})
    _check_same(file, content['config'], self.run, {'test.views': views})
    if len(content['results']) != 1:
      raise DamagedError(file, 'is not the result of one network')
    (by_split,) = content['results'].values()
    return _result(file, by_split, self.split)

  def responses(self) -> dict[str, Any] | None:
    """What `responses.measure` found (Fig. 7).

    Raises:
      DamagedError: the file is damaged.
    """
    file = responses_file(self.folder)
    if not file.exists():
      return None
    content = read(file, _RESPONSES)
    whole = bool(content['layers']) and all(
      isinstance(layer, dict) and _is_number(layer.get('std'))
      for layer in content['layers']
    )
    keys = {'split', 'images', 'pooling', 'statistics', 'batch_size'}
    if not whole or content['definition'].keys() != keys:
      raise DamagedError(file, 'is no record of layer responses')
    network = self.run.configuration().model.name
    if (content['network'], content['step']) != (network, self.content['step']):
      raise DamagedError(file, f'is not of {self.run.name}')
    return content


def find(root: pathlib.Path, run: Run) -> Record | None:
  """The record of `run`; None where it is not done.

  Raises:
    DamagedError: there is one that is damaged.
    ForeignError: the folder is another run's.
  """
  folder = root / run.name
  file = folder / 'results.json'
  if not file.exists():
    _check_started(folder, run)
    return None
  content = read(file, _KEYS)
  _check_same(file, content['config'], run)
  _check_content(file, content)
  curves = {}
  for one in read_metrics(folder):
    if _is_number(one['step']) and _is_number(one.get('error')):
      curves.setdefault(one['split'], []).append(one)
  return Record(run, folder, content, curves)


def evaluation_file(folder: pathlib.Path, views: str) -> pathlib.Path:
  """Where the result on `views` is kept."""
  return folder / f'results-{views}.json'


def responses_file(folder: pathlib.Path) -> pathlib.Path:
  """Where the responses of layers are kept."""
  return folder / 'responses.json'


def ensemble_file(
  root: pathlib.Path, target: str, runs: Sequence[Run]
) -> pathlib.Path:
  """Where the result of `runs` together is kept."""
  names = ' '.join(sorted(run.name for run in runs))
  digest = hashlib.blake2b(names.encode(), digest_size=4).hexdigest()
  return root / f'ensemble-{target}{runs[0].suffix}-{len(runs)}-{digest}.json'


def ensemble(
  root: pathlib.Path, target: str, runs: Sequence[Run]
) -> dict[str, Any] | None:
  """The result of `runs` together; None where there is none.

  Raises:
    DamagedError: the file is damaged.
  """
  file = ensemble_file(root, target, runs)
  if not file.exists():
    return None
  results = read(file, {'results': dict})['results']
  # Beside the ensemble's, each member's own, by its checkpoint.
  members = {run.name for run in runs}
  theirs = {
    part
    for path in results
    for part in pathlib.Path(path).parts
    if part in members
  }
  if 'ensemble' not in results or theirs != members:
    raise DamagedError(file, 'is not the result of these networks')
  return _result(file, results['ensemble'], 'validation')


def outputs(
  folder: pathlib.Path, run: Run, views: str | None, responses: bool
) -> dict[str, pathlib.Path]:
  """What a run leaves for a target that wants these, in order."""
  files = {'training': folder / 'results.json'}
  if views and run.configuration().dataset.crop_size:
    files['testing'] = evaluation_file(folder, views)
  if responses and run.seed == 0:
    files['responses'] = responses_file(folder)
  return files


def read(file: pathlib.Path, keys: dict[str, type]) -> dict[str, Any]:
  """A JSON file that must hold `keys`, of these types.

  Raises:
    DamagedError: it does not.
  """
  try:
    content = json.loads(file.read_text())
  except (OSError, ValueError) as e:
    raise DamagedError(file, f'cannot be read ({first_line(e)})') from e
  if not isinstance(content, dict):
    raise DamagedError(file, 'is no record')
  for key, kind in keys.items():
    if not isinstance(content.get(key), kind):
      raise DamagedError(file, f'is no record: it lacks {key!r}')
  return content


def _check_content(file: pathlib.Path, content: dict[str, Any]) -> None:
  """Refuses what is of the right kind, and holds nothing.

  Raises:
    DamagedError: saying what is wrong.
  """
  results, examples = content['results'], content['examples']
  for kind in {'running', *results}:
    by_split = results.get(kind)
    if not isinstance(by_split, dict) or not by_split:
      raise DamagedError(file, f'has no {kind} results')
    for split in by_split:
      _result(file, by_split, split)
      if not isinstance(examples.get(split), int):
        raise DamagedError(file, f'does not count the examples of {split}')
  numbers = [examples.get('train'), *content['seconds'].values()]
  if not all(map(_is_number, numbers)):
    raise DamagedError(file, 'has no numbers where they should be')
  environment = content['environment']
  keys = {'devices', 'device', 'cpus', 'packages', 'commit'}
  if not environment.keys() >= keys or not environment['packages']:
    raise DamagedError(file, 'does not tell where it was run')


def _result(file: pathlib.Path, by_split: Any, split: str) -> dict[str, Any]:
  """The result of a split, whose errors are numbers."""
  result = by_split.get(split) if isinstance(by_split, dict) else None
  keys = ('examples', 'error', 'error_top5')
  if not isinstance(result, dict) or not all(
    _is_number(result.get(key)) for key in keys
  ):
    raise DamagedError(file, f'has no errors of {split}')
  return result


def _is_number(x: Any) -> bool:
  return (
    isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
  )


def _check_started(folder: pathlib.Path, run: Run) -> None:
  """Refuses a folder that another run has begun."""
  file = folder / 'config.json'
  if file.exists():
    _check_same(file, read(file, {'model': dict}), run)


def _check_same(
  file: pathlib.Path,
  config: dict[str, Any],
  run: Run,
  besides: Mapping[str, Any] = types.MappingProxyType({}),
) -> None:
  """Refuses what is of another run; `besides` says what is to differ."""
  wanted = run.configuration()
  wanted.update_from_flattened_dict(dict(besides))
  wanted = to_json(wanted)
  changes = result_changes(config, wanted)
  if not run.on_paper_data:  # the paper's are known by their numbers
    for field in ('name', 'npz', 'folder'):
      pair = config.get('dataset', {}).get(field), wanted['dataset'][field]
      if pair[0] != pair[1]:
        changes[f'dataset.{field}'] = pair
  if changes:
    words = [f'config.{k} is {a!r}, not {b!r}' for k, (a, b) in changes.items()]
    more = len(words) - 3
    raise ForeignError(
      f'{file} is not of {run.name}: {"; ".join(words[:3])}'
      f'{f"; and {more} more" * (more > 0)}. Move the folder away, or keep '
      f'these runs elsewhere with --runs=DIR'
    )


def _other_data(record: Record) -> str:
  """Says so where the data are not what the config means by their name."""
  name = record.run.configuration().dataset.name
  if name not in PAPER_DATA:
    return ''
  train, test, classes = PAPER_DATA[name]
  examples = record.content['examples']
  # A validation split may have been held out of the training images.
  same = (
    record.content['num_classes'] == classes
    and sum(examples.values()) == train + test
    and examples[record.split] == test
  )
  if same:
    return ''
  name = pathlib.Path(record.content['data_name']).name
  return f'{name} ({examples["train"]:,} images)'
