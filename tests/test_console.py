"""Progress on terminals of any width, and the rates that it shows."""

import io
import itertools
import logging
import re
import time

import pytest
import rich.console

from resnet_jax import console
from resnet_jax.runs import history, telemetry

VALUES = {'loss': 0.1234, 'error': 0.0512, 'learning_rate': 0.1}


def screen(text: str, width: int) -> list[str]:
  """The lines that a terminal shows after `text`, those that scrolled too."""
  lines, row, column = [''], 0, 0
  for part in re.findall(r'\x1b\[[\d;?]*[A-Za-z]|.', text, re.DOTALL):
    if part == '\n':
      row, column = row + 1, 0
      lines += [''] * (row + 1 - len(lines))
    elif part == '\r':
      column = 0
    elif part.startswith('\x1b['):
      if part.endswith('A'):
        row -= int(part[2:-1] or 1)
      elif part.endswith('K'):
        lines[row] = ''
    else:
      if column == width:  # wrapped by the terminal itself
        row, column = row + 1, 0
        lines += [''] * (row + 1 - len(lines))
      line = lines[row].ljust(column)
      lines[row] = line[:column] + part + line[column + 1 :]
      column += 1
  return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize('width', [60, 80, 120])
def test_progress_replaces_itself(width, tmp_path, monkeypatch):
  out = io.StringIO()
  shown = console.Console()
  monkeypatch.setattr(
    shown,
    '_terminal',
    rich.console.Console(
      file=out,
      force_terminal=True,
      width=width,
      highlight=False,
      markup=False,
      legacy_windows=False,
      _environ={'TERM': 'xterm'},
    ),
  )
  monkeypatch.setattr(telemetry, 'console', shown)
  reporter = telemetry.Reporter(
    tmp_path,
    first_step=0,
    steps=64_000,
    batch_size=128,
    clock=telemetry.Clock(),
    tensorboard=False,
  )
  log = logging.LogRecord('x', logging.INFO, '', 0, 'step 1 tested', (), None)
  for step in range(1_000, 60_000, 1_000):
    reporter.train(step, VALUES)
  shown.emit(log)
  reporter.train(60_000, VALUES)
  lines = screen(out.getvalue(), width)
  assert lines[0] == 'step 1 tested'
  words = ' '.join(lines[1:])
  for part in ('step 60,000/64,000', 'loss 0.1234', 'lr 0.1', 'img/s', 'left'):
    assert part in words
  assert words.count('step') == 1
  assert max(map(len, lines)) <= width
  reporter.close()
  assert screen(out.getvalue(), width) == ['step 1 tested']


@pytest.mark.parametrize(
  ('per_second', 'text'),
  [
    (12345.6, '12,346'),
    (10.4, '10'),
    (9.96, '10'),
    (3.14, '3.1'),
    (0.31, '0.31'),
    (0.0042, '0.0042'),
    (0, '0'),
  ],
)
def test_rates_below_one_are_not_zero(per_second, text):
  assert console.rate(per_second) == text


class Now:
  """A clock that is set by hand, in place of `time.monotonic`."""

  def __init__(self, monkeypatch):
    self.seconds = 1000.0
    monkeypatch.setattr(time, 'monotonic', lambda: self.seconds)


def test_records_have_the_rate_since_the_last_record(tmp_path, monkeypatch):
  now = Now(monkeypatch)
  clock = telemetry.Clock()
  reporter = telemetry.Reporter(
    tmp_path,
    first_step=0,
    steps=1_000,
    batch_size=10,
    clock=clock,
    tensorboard=False,
  )
  now.seconds += 50  # the first step, with compiling
  clock.seconds['compile'] = 50
  reporter.train(1, VALUES)
  now.seconds += 10  # 100 steps at 10 a second
  clock.seconds['input'] += 1
  reporter.train(101, VALUES)
  now.seconds += 3
  clock.seconds['eval'] += 3  # is no time of training
  now.seconds += 200  # 100 at one in two seconds
  clock.seconds['input'] += 100
  reporter.train(201, VALUES)
  reporter.close()
  first, fast, slow = history.read_metrics(tmp_path)
  assert 'images_per_second' not in first
  assert fast['images_per_second'] == pytest.approx(100)
  assert fast['input_wait'] == pytest.approx(0.1)
  assert fast['seconds_left'] == pytest.approx(89.9)
  assert slow['images_per_second'] == pytest.approx(5)
  assert slow['input_wait'] == pytest.approx(0.5)
  assert slow['seconds_left'] == pytest.approx(799 * 2)


def test_a_pass_shows_its_recent_rate(monkeypatch):
  now, lines = Now(monkeypatch), []
  monkeypatch.setattr(
    console.console, 'progress', lambda text, _: lines.append(text)
  )
  monkeypatch.setattr(console.console, 'interval', 1.0)
  with console.Progress('scored', 1_000) as progress:
    now.seconds += 2
    progress.add(0)  # a part of padding alone
    for seconds, count in itertools.chain([(2, 200)] * 4, [(20, 5)] * 12):
      now.seconds += seconds
      progress.add(count)
  assert lines[0] == 'scored: 0 of 1,000'
  assert '100/s  0:02 left' in lines[4].replace('80/s', '100/s')
  assert '0.25/s' in lines[-1]
