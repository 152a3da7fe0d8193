"""metrics.jsonl: what damage leaves of it, and how a run goes on with that."""

import json

import pytest

from resnet_jax.errors import UserError
from resnet_jax.runs import history


def line(step):
  record = {'step': step, 'split': 'train', 'error': 0.5, 'loss': float(step)}
  return json.dumps(record).encode()


def write(workdir, *lines):
  file = workdir / history.FILE
  file.write_bytes(b'\n'.join(lines) + b'\n')
  return file


DAMAGED = [
  b'\xff' + line(2),
  line(2).replace(b'train', b'tr\xc3in'),
  line(2)[:-5],
  line(2) + line(3),
  line(2).replace(b'"step"', b'"stfp"'),
  line(2).replace(b'2,', b'"2",'),
  line(2).replace(b'2,', b'2.5,'),
  line(2).replace(b'2,', b'-2,'),
  line(2).replace(b'2,', b'true,'),
  line(2).replace(b'2,', b'1' + b'0' * 99 + b','),
  line(2).replace(b'2,', b'1' + b'0' * 9999 + b','),
  line(2).replace(b'"train"', b'["train"]'),
  line(2).replace(b'0.5', b'"0.5"'),
  line(2).replace(b'0.5', b'NaN'),
  line(2).replace(b'0.5', b'1e999'),
  b'[]',
  b'null',
  b'7',
  b'"step"',
  b'\0' * 40,
  b'[' * 100_000,
]


@pytest.mark.parametrize('damaged', DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_line_is_named_and_all_others_stay(tmp_path, caplog, damaged):
  file = write(tmp_path, line(1), damaged, line(3))
  before = file.read_bytes()
  assert [r['step'] for r in history.read_metrics(tmp_path)] == [1, 3]
  assert f'{file}: line 2 is damaged' in caplog.text
  assert file.read_bytes() == before
  with history.open_metrics(tmp_path, 3) as opened:
    opened.write(line(4).decode() + '\n')
  assert file.read_bytes() == b''.join(line(i) + b'\n' for i in (1, 3, 4))
  assert (tmp_path / 'metrics.jsonl.damaged').read_bytes() == before
  assert 'kept as metrics.jsonl.damaged' in caplog.text


def test_every_bit_of_checked_lines(tmp_path):
  """A flipped bit is noticed, or leaves what was written."""
  records = [json.loads(line(step)) for step in (1, 2)]
  text = ''.join(map(history.line_of, records)).encode()
  for bit in range(8 * len(text)):
    changed = bytearray(text)
    changed[bit // 8] ^= 1 << bit % 8
    (tmp_path / history.FILE).write_bytes(changed)
    found = history.read_metrics(tmp_path, warn=False)
    assert all(record in records for record in found), (bit, found)


def test_checked_lines_follow_those_of_0_2_and_other_writers(tmp_path):
  record = json.loads(line(2)) | {'loss': 1e-05}
  checked = history.line_of(record).encode().strip()
  write(tmp_path, line(1), checked.replace(b'1e-05', b'0.00001'))
  assert history.read_metrics(tmp_path) == [json.loads(line(1)), record]
  # Behind a line with a checksum, one without is another's.
  write(tmp_path, line(1), checked, line(3))
  assert history.read_metrics(tmp_path) == [json.loads(line(1)), record]


@pytest.mark.parametrize(
  ('steps', 'lost'),
  [((), '1 to 30'), ((10,), '11 to 30'), ((10, 20), None), ((10, 40), None)],
)
def test_records_that_are_gone_are_named(tmp_path, caplog, steps, lost):
  write(tmp_path, *map(line, steps))
  first_step = 30 if lost else 29
  if steps == (10, 40):  # of a session that was cut: they come again
    first_step = 19
  history.open_metrics(tmp_path, first_step, every=10).close()
  words = f'the records of steps {lost} are lost'
  assert (words in caplog.text) if lost else not caplog.text


def test_damage_again_takes_a_free_name(tmp_path):
  for aside in ('damaged', 'damaged-2', 'damaged-3'):
    before = write(tmp_path, line(1), b'{').read_bytes()
    history.open_metrics(tmp_path, 1).close()
    assert (tmp_path / f'metrics.jsonl.{aside}').read_bytes() == before


def test_whole_records_are_not_written_again(tmp_path):
  file = write(tmp_path, line(1), line(2))
  identity = file.stat().st_ino
  history.open_metrics(tmp_path, 2).close()
  assert file.stat().st_ino == identity
  history.open_metrics(tmp_path, 1).close()
  assert file.read_bytes() == line(1) + b'\n'
  assert len(list(tmp_path.iterdir())) == 1


def test_a_last_line_without_its_end_is_not_added_to(tmp_path):
  file = write(tmp_path, line(1), line(2))
  file.write_bytes(file.read_bytes()[:-1])
  with history.open_metrics(tmp_path, 2) as opened:
    opened.write(line(3).decode() + '\n')
  assert [r['step'] for r in history.read_metrics(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize('replaced', [False, True])
def test_records_that_are_taken_away_end_the_run(tmp_path, replaced):
  with history.open_metrics(tmp_path, 0) as file:
    history.check_there(file)
    (tmp_path / history.FILE).rename(tmp_path / 'elsewhere')
    if replaced:
      (tmp_path / history.FILE).touch()
    with pytest.raises(UserError, match=r'metrics.jsonl was moved, deleted'):
      history.check_there(file)


def test_what_has_no_checkpoint_is_kept_and_named(tmp_path, caplog):
  history.set_old_aside(tmp_path)
  assert not caplog.text
  before = write(tmp_path, line(1)).read_bytes()
  (tmp_path / 'checkpoints' / 'best' / '1').mkdir(parents=True)
  (tmp_path / 'metrics.jsonl.old').touch()
  history.set_old_aside(tmp_path)
  assert (tmp_path / 'metrics.jsonl.old-2').read_bytes() == before
  assert (tmp_path / 'checkpoints' / 'best.old' / '1').is_dir()
  assert 'metrics.jsonl.old-2, best.old' in caplog.text
  assert history.read_metrics(tmp_path) == []
