"""The summary of `gpu_day`, as Markdown and as JSON."""

import json
import pathlib
from typing import Any

from benchmarks.processes import newest_step

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def write(out: pathlib.Path, content: dict[str, Any]) -> None:
  """Writes summary.json and summary.md in `out`.

  Args:
    out: The folder of results.
    content: What state.json holds.
  """
  running = _running(out, content['done'])
  everything = content | {'running': running}
  (out / 'summary.json').write_text(json.dumps(everything, indent=2) + '\n')
  lines = [
    *_machine(content),
    *_checks(content['done']),
    *_timings(content['done']),
    *_runs(content['done'], running),
    *_failures(content['done']),
  ]
  (out / 'summary.md').write_text('\n'.join(lines) + '\n')


def state_of(key: str, done: dict[str, Any]) -> str:
  """One line about an item: passed, done, failed, or to be continued."""
  if key not in done:
    return 'not done yet'
  if 'error' in done[key]:
    return f'failed: {done[key]["error"]}'
  if 'passed' in done[key]:
    return 'passed' if done[key]['passed'] else 'NOT PASSED'
  return 'done'


def _machine(content: dict[str, Any]) -> list[str]:
  machine = content['machine']
  packages = machine['packages']
  versions = ', '.join(f'{k} {packages[k]}' for k in _PACKAGES if packages[k])
  title = '# Rehearsal' if content['rehearsal'] else '# Results'
  peer = ', '.join(f'{k} {v}' for k, v in machine['peer'].items())
  return [
    f'{title} on {machine["devices"]} x {machine["device"]}',
    '',
    f'- {machine["processor"]}, {machine["cores"]} cores, '
    f'{machine["platform"]}',
    f'- Python {machine["python"]}, {versions}; {peer}',
    f'- commit {machine["commit"]}, last call {machine["time"]}',
    f'- `{machine["command"]}`',
    '',
  ]


def _checks(done: dict[str, Any]) -> list[str]:
  found = {k: v for k, v in done.items() if k.startswith('check ')}
  if not found:
    return []
  lines = [
    '## Correctness',
    '',
    'Greatest error of log-probabilities, and relative errors of one step and '
    'of BN statistics; tolerances in brackets.',
    '',
    '| check | scores | step | statistics | |',
    '|---|---|---|---|---|',
  ]
  for key, result in found.items():
    errors, most = result.get('errors', {}), result.get('tolerances', {})
    cells = [
      f'{errors[name]:.1e} ({most[name]:g})' if name in errors else ''
      for name in ('scores', 'step', 'statistics')
    ]
    note = result.get('skipped') or state_of(key, done)
    if 'stopped_at' in result:
      note += f', cut at step {result["stopped_at"]} of {result["steps"]}'
    if result.get('repeats') is False:
      note += '; the two differ before the cut'
    lines.append(f'| {key[6:]} | {" | ".join(cells)} | {note} |')
  return [*lines, '']


def _timings(done: dict[str, Any]) -> list[str]:
  found = [v for k, v in done.items() if k.startswith('timing ')]
  rows = [row for report in found for row in report.get('rows', [])]
  if not rows:
    return []
  lines = [
    '## Throughput',
    '',
    '| part | network | batch | precision | side | median | ± | ours / it |',
    '|---|---|---|---|---|---|---|---|',
  ]
  for row in rows:
    what = [row['part'], row['network'], row['batch'] or '', row['precision']]
    for name, side in row['sides'].items():
      ratio = row['ratios'].get(name)
      clear = f'{ratio["median"]:.2f}' if ratio and ratio['clear'] else ''
      cells = [*what, name, _figure(side['median'], row['unit'])]
      cells += [f'{side["spread"]:.3g}', clear]
      lines.append('| ' + ' | '.join(map(str, cells)) + ' |')
    if 'limit' in row:
      limit = row['limit']
      share = f'{100 * limit["share"]:.0f} % reached'
      cells = [*what, 'limit of the machine']
      cells += [_figure(limit['rate'], row['unit']), '', share]
      lines.append('| ' + ' | '.join(map(str, cells)) + ' |')
  commands = [f'- `{v["command"]}`' for v in found if 'command' in v]
  return [*lines, '', *commands, '']


def _runs(done: dict[str, Any], running: dict[str, int]) -> list[str]:
  found = {k: v for k, v in done.items() if k.startswith('train ')}
  if not found and not running:
    return []
  lines = [
    '## Training',
    '',
    '| run | steps | test error, % | hours | images/s of training |',
    '|---|---|---|---|---|',
  ]
  for key, result in found.items():
    if 'error' in result:
      continue
    errors = result['errors']
    last = errors.get('recomputed', errors['running'])
    hours = sum(result['seconds'].values()) / 3600
    lines.append(
      f'| {key[6:]} | {result["step"]:,} | {100 * last["test"]:.2f} | '
      f'{hours:.2f} | {result["images_per_second"]:,.0f} |'
    )
  lines += [f'| {k} | {v:,} so far | | | |' for k, v in running.items()]
  flags = next((v['flags'] for v in found.values() if 'flags' in v), None)
  if flags:
    lines += [
      '',
      f'`python -m resnet_jax.main {flags}`; the others differ in --config, '
      f'--config.seed and --workdir.',
    ]
  return [*lines, '']


def _failures(done: dict[str, Any]) -> list[str]:
  lines = [
    f'- {key}: {state_of(key, done)}'
    for key, result in done.items()
    if 'error' in result or result.get('passed') is False
  ]
  return ['## Failures', '', *lines, ''] if lines else []


def _running(out: pathlib.Path, done: dict[str, Any]) -> dict[str, int]:
  """Steps of the runs that are not finished."""
  found = {}
  for workdir in sorted((out / 'runs').glob('*')):
    network, _, seed = workdir.name.rpartition('-seed')
    name = f'{network} seed {seed}'
    if f'train {name}' not in done and newest_step(workdir):
      found[name] = newest_step(workdir)
  return found


def _figure(x: float, unit: str) -> str:
  return f'{x:,.0f} {unit}' if x >= 100 else f'{x:.3g} {unit}'
