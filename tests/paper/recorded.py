"""Records as runs leave them, and what is shown of them, for the tests."""

import json

from resnet_jax.config.file import to_json
from resnet_jax.paper import report, targets
from resnet_jax.paper.markdown import MISSING
from resnet_jax.paper.runs import Scale

__all__ = ['MISSING']


def write_record(root, run, *, error, train_error=0.01, examples=None):
  """Leaves the files of a run that is done, with errors that a test knows."""
  folder = root / run.name
  folder.mkdir(parents=True)
  steps = run.steps()
  examples = examples or {'train': 50_000, 'test': 10_000}
  split = list(examples)[-1]
  result = {'examples': 10_000, 'error': error, 'error_top5': error / 5}
  content = {
    'config': to_json(run.configuration()),
    'step': steps,
    'data_name': 'cifar10',
    'examples': examples,
    'num_classes': 1000 if split == 'validation' else 10,
    'results': {
      'running': {split: result},
      'recomputed': {split: dict(result)},
    },
    'seconds': {'train': 60.0},
    'environment': {
      'devices': 1,
      'device': 'cpu',
      'cpus': 2,
      'packages': {'jax': '0'},
      'commit': 'x',
    },
  }
  (folder / 'results.json').write_text(json.dumps(content))
  lines = [
    {'step': step, 'split': split, 'error': value}
    for step, scale in ((steps // 2, 2), (steps, 1))
    for split, value in (
      ('train', scale * train_error),
      ('test', scale * error),
    )
  ]
  text = '\n'.join(json.dumps(line) for line in lines)
  (folder / 'metrics.jsonl').write_text(text)
  return folder


def shown(target, root, **scale):
  """The Markdown of a target, or of the one of this name."""
  if isinstance(target, str):
    target = targets.find(target)
  return report.section(target, root, Scale(**scale), root)


def cells_of(text, first):
  """The row that begins so, of the first table that has one."""
  return next(row for row in _rows(text) if row[0] == first)


def row_of(text, first):
  """The same row by the names of its columns."""
  rows = _rows(text)
  i = next(i for i, row in enumerate(rows) if row[0] == first)
  rule = max(j for j in range(i) if set(rows[j][0]) <= set('-:'))
  return dict(zip(rows[rule - 1], rows[i], strict=True))


def _rows(text):
  lines = [line.replace('**', '') for line in text.splitlines()]
  return [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in lines
    if line.startswith('|')
  ]
