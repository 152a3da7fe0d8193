"""Names of others in what we print and write."""

import csv
import io
import os
import pathlib
import stat

import numpy as np
import pytest

from resnet_jax import text
from resnet_jax.predictions import show, write
from resnet_jax.predictor import Prediction
from resnet_jax.scores import Result


@pytest.mark.parametrize(
  ('name', 'plain'),
  [
    ('cat', 'cat'),
    ('Käfer 猫 😀', 'Käfer 猫 😀'),
    ('a\nerror: b', r'a\nerror: b'),
    ('a\r\tb', r'a\r\tb'),
    ('\x1b[2J', r'\x1b[2J'),
    ('\u2028x\x85', r'\u2028x\x85'),
    (os.fsdecode(b'caf\xe9.jpg'), r'caf\xe9.jpg'),
    ('\ud83d', r'\ud83d'),
    ('gpj.\u202eexe', r'gpj.\u202eexe'),
    ('שלום', 'שלום'),
  ],
)
def test_names_are_on_one_line(name, plain):
  assert text.plain(name) == plain
  assert plain.isprintable()


@pytest.mark.parametrize(
  ('name', 'cell'),
  [
    ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
    ('+1', "'+1"),
    ('-x.jpg', "'-x.jpg"),
    ('@SUM(1)', "'@SUM(1)"),
    (' =1', "' =1"),
    ('＝1', "'＝1"),  # noqa: RUF001
    ('\t=1', r'\t=1'),
    ('\r=1', r'\r=1'),
    ('\n=1', r'\n=1'),
    ('a=b', 'a=b'),
    ('', ''),
  ],
)
def test_no_cell_is_a_formula(name, cell):
  assert text.cell(name) == cell


def test_only_our_own_newlines_stay():
  assert text.paragraph('one:\n- two\x1b') == 'one:\n- two\\x1b'
  assert text.paragraph('x\nerror: y\n Warning: z') == (
    r'x\nerror: y\n Warning: z'
  )


NAMES = ['=1+1', 'a\nb', os.fsdecode(b'\xff')]


def rows(file):
  return list(csv.reader(io.StringIO(file.read_bytes().decode('utf-8'))))


def test_errors_by_class(tmp_path):
  counts = np.array([4, 0, 1])
  result = Result(counts, counts // 2, counts // 4, counts * 0.5, damaged=0)
  result.write_csv(tmp_path / 'x.csv', NAMES)
  names = [row[1] for row in rows(tmp_path / 'x.csv')]
  assert names == ['name', "'=1+1", r'a\nb', r'\xff']


def test_predictions(tmp_path, capsys):
  file = os.fsdecode(b'-\xe9\n.jpg')
  found = [Prediction(file, [0, 1, 2], NAMES, [0.5, 0.25, 0.25])]
  write(tmp_path / 'x.csv', found)
  table = rows(tmp_path / 'x.csv')
  assert len(table) == 4
  assert table[1] == [r"'-\xe9\n.jpg", '1', '0', "'=1+1", '0.5']
  assert [row[3] for row in table[2:]] == [r'a\nb', r'\xff']
  write(tmp_path / 'x.json', found)
  assert (tmp_path / 'x.json').read_bytes().isascii()
  show(found)
  assert capsys.readouterr().out.splitlines() == [
    r'-\xe9\n.jpg',
    '   50.00 %  =1+1',
    r'   25.00 %  a\nb',
    r'   25.00 %  \xff',
  ]


def test_a_file_is_whole_or_as_it_was(tmp_path):
  file = tmp_path / 'x.csv'
  file.write_text('before')
  with pytest.raises(ZeroDivisionError), text.replacing(file) as stream:
    stream.write('half')
    raise ZeroDivisionError
  assert file.read_text() == 'before'
  link = tmp_path / 'link.csv'
  link.symlink_to(file)
  with text.replacing(link) as stream:
    stream.write('é\n')
  assert link.is_symlink() and file.read_bytes() == b'\xc3\xa9\n'
  assert sorted(os.listdir(tmp_path)) == ['link.csv', 'x.csv']


def test_a_device_stays_one():
  with text.replacing(pathlib.Path('/dev/null')) as stream:
    stream.write('x')
  text.check_replaceable(pathlib.Path('/dev/null'))
  assert stat.S_ISCHR(os.stat('/dev/null').st_mode)


def test_what_cannot_be_written_is_found_before_the_work(tmp_path):
  for file in (tmp_path / 'no' / 'x.csv', tmp_path):
    with pytest.raises(OSError):
      text.check_replaceable(file)
  text.check_replaceable(tmp_path / 'x.csv')
  assert not os.listdir(tmp_path)
