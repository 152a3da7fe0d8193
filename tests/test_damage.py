"""A short form of `python -m tests.damage`: no damage ends in a traceback."""

import pytest

from tests import damage

pytest.importorskip('tensorflow')


def test_damaged_files_are_refused_or_read_as_they_were(tmp_path):
  outcomes, wrong = damage.run(120, 0, tmp_path)
  assert not wrong
  refused = sum(counter['refused'] for counter in outcomes.values())
  assert refused > 50
