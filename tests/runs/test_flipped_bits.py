"""A flipped bit anywhere in a checkpoint: noticed, or without any effect."""

import json
import random
import shutil
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.errors import UserError
from resnet_jax.runs import checkpoint, late_reports, meta

STATE = {'state': {'step': np.int32(7), 'w': np.arange(40.0)}}
FACTS = {
  'config': {'seed': 3, 'model': {'name': 'cifar_resnet8'}},
  'num_classes': 2,
  'class_names': ['a', 'b'],
  'data': 'abc',
  'origin': None,
  'error': 0.1,
  'seconds': {'train': 1e-9},
}


def flip(data: bytes, bit: int) -> bytes:
  changed = bytearray(data)
  changed[bit // 8] ^= 1 << bit % 8
  return bytes(changed)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """The folder of a series with the checkpoints of steps 6 and 7."""
  folder = tmp_path_factory.mktemp('saved') / 'series'
  series = checkpoint.Series(folder, keep=None)
  for step in (6, 7):
    series.save(step, {'state': {**STATE['state'], 'step': step}}, FACTS)
  series.wait()
  series.close()
  return folder


def test_every_bit_of_the_facts(saved):
  text = (saved / '7' / 'meta' / 'metadata').read_bytes()
  whole = meta.unseal(json.loads(text))
  assert {name: whole[name] for name in FACTS} == FACTS
  for bit in range(8 * len(text)):
    try:
      facts = meta.unseal(json.loads(flip(text, bit)))
    except (ValueError, meta.DamagedError):
      continue
    # Those of arrays are compared with the arrays.
    assert facts | {'hashes': whole['hashes']} == whole, bit


def test_bits_of_every_file(saved, tmp_path):
  rng = random.Random(0)
  whole = checkpoint.read_step(saved / '7')
  files = [path for path in (saved / '7').rglob('*') if path.is_file()]
  folder = tmp_path / '7'
  shutil.copytree(saved / '7', folder)
  noticed = 0
  for file in files:
    data = file.read_bytes()
    place = folder / file.relative_to(saved / '7')
    for bit in rng.sample(range(8 * len(data)), min(5, 8 * len(data))):
      place.write_bytes(flip(data, bit))
      try:
        found = checkpoint.read_step(folder)
      except UserError as e:
        noticed += 1
        assert str(folder) in str(e)
        continue
      assert found.meta == whole.meta
      assert found.arrays.keys() == whole.arrays.keys()
      for name, x in whole.arrays.items():
        assert found.arrays[name].dtype == x.dtype
        np.testing.assert_array_equal(found.arrays[name], x)
    place.write_bytes(data)
  assert noticed > len(files)


def test_late_reports_of_threads_are_dropped_and_no_others(saved, monkeypatch):
  """TensorStore's threads report arrays that were read beside a damaged one."""
  passed_on = []
  monkeypatch.setattr(sys, 'unraisablehook', passed_on.append)
  late_reports.silence.cache_clear()
  checkpoint.read_step(saved / '7')
  late, other = (
    types.SimpleNamespace(exc_value=error)
    for error in (RuntimeError('Event loop is closed'), RuntimeError('other'))
  )
  sys.unraisablehook(late)
  sys.unraisablehook(other)
  assert passed_on == [other]
  late_reports.silence.cache_clear()


def test_a_checkpoint_of_0_2_has_no_hash_of_its_facts():
  old = FACTS | {'hashes': {'state/w': '0'}}
  assert meta.unseal(old) == old
  for name, value in (('config', []), ('data', None), ('class_names', ['a'])):
    with pytest.raises(meta.DamagedError, match='its meta'):
      meta.unseal(old | {name: value})


def test_a_second_damage_at_the_same_step_takes_a_free_name(saved, tmp_path):
  folder = shutil.copytree(saved, tmp_path / 'series')
  shutil.copytree(folder / '7', tmp_path / 'whole')
  for aside in ('7.damaged', '7.damaged-2', '7.damaged-3'):
    (folder / '7' / 'meta' / 'metadata').write_text('{}')
    series = checkpoint.Series(folder, keep=2)
    assert series.newest().step == 6
    series.set_aside_after(6)
    assert series.steps() == [6] and (folder / aside).is_dir()
    series.save(7, {'state': {'w': jnp.ones(3)}}, FACTS)
    series.wait()
    series.close()
  assert checkpoint.read_step(folder / '7').step == 7


def test_what_is_not_needed_is_as_good_as_empty(saved, tmp_path):
  folder = shutil.copytree(saved, tmp_path / 'series')
  for step in ('6', '7'):
    (folder / step / 'meta' / 'metadata').write_text('{"hashes": []}')
  series = checkpoint.Series(folder, keep=None)
  assert series.newest(required=False) is None
  with pytest.raises(UserError, match='none of the checkpoints'):
    series.newest()
  series.close()


def test_the_fingerprint_is_had_without_the_arrays(saved):
  path = saved / '7'
  found = checkpoint.read_step(path)
  assert meta.fingerprint_at(path) == found.fingerprint
  assert meta.fingerprint_at(saved / '6') != found.fingerprint
  assert meta.fingerprint_at(saved / '8') is None
