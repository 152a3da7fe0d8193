"""JSON files carry a hash, by which damage to them is noticed."""

import json

import pytest

from resnet_jax.runs.workdir import read_json, write_json

CONTENT = {'error': 0.0695, 'name': 'x', 'many': [1, None, {'nan': 2.5e-7}]}


def test_every_bit(tmp_path):
  file = tmp_path / 'results.json'
  write_json(file, CONTENT)
  assert read_json(file) == CONTENT
  text = file.read_bytes()
  noticed = 0
  for bit in range(8 * len(text)):
    changed = bytearray(text)
    changed[bit // 8] ^= 1 << bit % 8
    file.write_bytes(changed)
    try:
      assert read_json(file) == CONTENT, bit
    except ValueError:
      noticed += 1
  assert noticed > 7 * len(text)


def test_files_of_0_2_have_no_hash_and_edited_ones_a_wrong_one(tmp_path):
  file = tmp_path / 'results.json'
  file.write_text(json.dumps(CONTENT))
  assert read_json(file) == CONTENT
  write_json(file, CONTENT)
  file.write_text(file.read_text().replace('0.0695', '0.0595'))
  with pytest.raises(ValueError, match='of other content: damaged, or edited'):
    read_json(file)


@pytest.mark.parametrize('text', ['[' * 100_000, '', '{', '\ud800'])
def test_what_is_no_json(tmp_path, text):
  file = tmp_path / 'results.json'
  file.write_bytes(text.encode('utf-8', 'surrogatepass'))
  with pytest.raises(ValueError):
    read_json(file)


@pytest.mark.parametrize('content', [[], {}, 7, None, 'x'])
def test_what_is_no_record(tmp_path, content):
  file = tmp_path / 'results.json'
  file.write_text(json.dumps(content))
  assert read_json(file) == content
