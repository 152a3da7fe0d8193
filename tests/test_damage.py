"""A short form of `python -m tests.damage`: no damage ends in a traceback."""

import pytest

from tests import damage

pytest.importorskip('tensorflow')


@pytest.mark.slow
def test_damaged_files_are_refused_or_read_as_they_were(tmp_path):
  good = damage.kinds(tmp_path)
  outcomes, wrong = damage.run(2 * len(good), 0, good)
  assert not wrong
  total = sum(outcomes.values(), start=type(outcomes['TFRecords'])())
  for outcome in ('refused', 'same', 'left out', 'other'):
    assert total[outcome] > 5


def test_damaged_arrays_and_pictures(tmp_path):
  good = dict(damage.files(tmp_path / 'files'))
  _, wrong = damage.run(8 * len(good), 1, good)
  assert not wrong
