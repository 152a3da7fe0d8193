"""Arrays of users: damaged files, lies about sizes, and arrays of other kinds.

  python -m tests.data.resident.test_npz 4000

damages as many files, by their seeds, and counts what came of them.
"""

import collections
import io
import pathlib
import resource
import sys
import tempfile
import zipfile

import numpy as np
import pytest

from resnet_jax.data.resident.sources import from_npz
from resnet_jax.errors import UserError
from tests.damaged import damaged

SEEDS = 300


def arrays(**changes):
  rng = np.random.default_rng(0)
  return {
    'train_images': rng.integers(256, size=(40, 6, 5, 3), dtype=np.uint8),
    'train_labels': np.arange(40) % 4,
    'test_images': rng.integers(256, size=(12, 6, 5, 3), dtype=np.uint8),
    'test_labels': np.arange(12) % 4,
  } | changes


def saved(*, compressed=False, **changes):
  stream = io.BytesIO()
  save = np.savez_compressed if compressed else np.savez
  save(stream, **arrays(**changes))
  return stream.getvalue()


def outcome(file, contents):
  """'read' with the pixels that were written, 'refused', or a defect."""
  file.write_bytes(contents)
  try:
    found = from_npz(str(file))
  except UserError as e:
    message = str(e)
    assert message.isprintable() and '\n' not in message, message
    assert len(message) < 1000, message
    return 'refused'
  written = arrays()
  for split in ('train', 'test'):
    ours = found.splits()[split]
    np.testing.assert_array_equal(ours.images, written[f'{split}_images'])
    np.testing.assert_array_equal(ours.labels, written[f'{split}_labels'])
  return 'read'


def fuzz(file, seeds):
  whole = [saved(), saved(compressed=True)]
  return collections.Counter(
    outcome(file, damaged(whole[seed % 2], seed)) for seed in range(seeds)
  )


def test_damaged_files_are_refused_or_read_whole(tmp_path):
  found = fuzz(tmp_path / 'set.npz', SEEDS)
  assert found['refused'] > 0.8 * SEEDS
  assert found.total() == SEEDS


def of_shape(shape, *, compressed):
  """An .npz whose first array says that it has `shape`, and has a kilobyte."""
  stream = io.BytesIO()
  kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
  with zipfile.ZipFile(stream, 'w', kind) as archive:
    for name, array in arrays().items():
      member = io.BytesIO()
      if name == 'train_images':
        header = {'descr': '|u1', 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(1000))
      else:
        np.save(member, array)
      archive.writestr(f'{name}.npy', member.getvalue())
  return stream.getvalue()


def test_a_declared_size_takes_no_memory(tmp_path):
  file = tmp_path / 'set.npz'
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  for shape in ((600_000, 1000, 1000, 1), (2**40,) * 4, (-40, 6, 5, 3)):
    for compressed in (False, True):
      file.write_bytes(of_shape(shape, compressed=compressed))
      with pytest.raises(UserError, match=r'damaged or no .npz file'):
        from_npz(str(file))
  after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  assert after - before < 64 * 1024  # in kB


@pytest.mark.parametrize(
  ('changes', 'telling'),
  [
    (
      {'train_labels': np.array([2**31] + [0] * 39)},
      'label 2147483648 of example 0, and there are only 40 examples',
    ),
    (
      {'train_labels': np.array([2**63] + [0] * 39, np.uint64)},
      'label 9223372036854775808 of example 0',
    ),
    ({'train_labels': np.arange(40) % 4 - 1}, 'label -1 of example 0'),
    ({'train_labels': np.arange(40) % 4 * 2}, 'no example has label 1'),
    ({'test_labels': np.full(12, 2**31)}, 'no class of the training set'),
    ({'train_labels': np.arange(40) / 4}, 'train_labels is of type float64'),
    ({'train_labels': np.ones(40, bool)}, 'train_labels is of type bool'),
    ({'train_labels': np.array(['a'] * 40)}, 'train_labels is of type <U1'),
    ({'train_labels': np.array([{}] * 40)}, 'train_labels is of type object'),
    ({'train_labels': np.zeros((40, 4), int)}, r'they are int64 \[40, 4\]'),
    ({'train_labels': np.zeros(39, int)}, '40 images but 39 labels'),
    (
      {'train_images': np.zeros((40, 6, 5, 3), np.float32)},
      'train_images is of type float32',
    ),
    (
      {'train_images': np.zeros((40, 6, 5, 3), np.uint16)},
      'images must be uint8',
    ),
    (
      {
        'train_images': np.zeros((40, 3, 6, 5), np.uint8),
        'test_images': np.zeros((12, 3, 6, 5), np.uint8),
      },
      'looks like channels first',
    ),
    ({'train_images': np.zeros((40, 6, 5), np.uint8)}, r'\[40, 6, 5\]'),
    ({'train_images': np.zeros((0, 6, 5, 3), np.uint8)}, '0 images but 40'),
    ({'test_images': np.zeros((12, 5, 6, 3), np.uint8)}, 'must have one size'),
  ],
)
def test_arrays_of_other_kinds_are_refused(tmp_path, changes, telling):
  file = tmp_path / 'set.npz'
  file.write_bytes(saved(**changes))
  with pytest.raises(UserError, match=telling):
    from_npz(str(file))


def test_what_is_no_archive_is_refused(tmp_path):
  file = tmp_path / 'set.npz'
  one = io.BytesIO()
  np.save(one, np.zeros(3))
  for contents in (b'', b'text', bytes(1000), one.getvalue(), saved()[:-1]):
    assert outcome(file, contents) == 'refused'
  archive = io.BytesIO()
  with zipfile.ZipFile(archive, 'w') as members:
    members.writestr('\x1b[31m\n.npy', b'')
  assert outcome(file, archive.getvalue()) == 'refused'


if __name__ == '__main__':
  with tempfile.TemporaryDirectory() as folder:
    print(fuzz(pathlib.Path(folder, 'set.npz'), int(sys.argv[1])))
