"""Pictures of any size: order, hosts, resumption, damage and views."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import finetune_folder
from resnet_jax.config.plan import views_of
from resnet_jax.data.normalization import Normalization
from resnet_jax.data.order import epoch_order
from resnet_jax.data.streamed import color, tfrecords
from resnet_jax.data.streamed import sources as pictures
from resnet_jax.data.streamed.feed import StreamedFeed
from resnet_jax.data.streamed.views import ViewReader
from resnet_jax.data.views import Views
from resnet_jax.errors import UserError
from tests.data.streamed.pictures import CLASSES, photographs, write_folder

pytest.importorskip('tensorflow')

# TensorFlow uses APIs of NumPy and of Python in ways that warn.
pytestmark = pytest.mark.filterwarnings('default')

TRAIN, VAL, BATCH, CROP = 18, 10, 8, 16


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write_folder(tmp_path_factory.mktemp('pictures'))


def config_of(folder, **augment):
  config = finetune_folder.get_config()
  config.dataset.folder = str(folder)
  config.dataset.crop_size = CROP
  config.batch_size = BATCH
  config.augment.shorter_side = (17, 24)
  config.augment.crop = 'shorter_side'
  config.augment.update(augment)
  return config


def feed(folder, *, host=0, hosts=1, config=None, records=None):
  config = config or config_of(folder)
  records = records or pictures.load(config.dataset).splits['train']
  return StreamedFeed(records, config, host=host, hosts=hosts)


def batches(folder, steps, **options):
  one = feed(folder, **options)
  return [one.host_batch(step) for step in steps]


def equal(a, b):
  return all(np.array_equal(a[k], b[k]) for k in a)


def reader(folder, split='validation', **changes):
  options = {'antialias': True, 'max_damaged': 2, 'host': 0, 'hosts': 1}
  records = pictures.load(config_of(folder).dataset).splits[split]
  return ViewReader(records, **(options | changes))


def test_a_folder_is_read_by_class_and_name(folder):
  found = pictures.load(config_of(folder).dataset)
  assert found.class_names == CLASSES
  assert {k: len(v) for k, v in found.splits.items()} == {
    'train': TRAIN,
    'validation': VAL,
  }
  names = [found.splits['train'].name(i) for i in range(TRAIN)]
  assert names == sorted(map(str, pathlib.Path(folder, 'train').glob('*/*')))


def test_every_picture_comes_once_an_epoch_in_the_order_of_the_seed(folder):
  seen = batches(folder, range(9))  # 72 pictures, four epochs
  ids = np.concatenate([b['ids'] for b in seen])
  expected = np.concatenate([epoch_order(0, e, TRAIN) for e in range(4)])
  np.testing.assert_array_equal(ids, expected)
  labels = np.concatenate([b['labels'] for b in seen])
  np.testing.assert_array_equal(labels, ids >= TRAIN // 2)
  epochs = np.concatenate([b['epochs'] for b in seen])
  np.testing.assert_array_equal(epochs, np.arange(72) // TRAIN)


def test_a_step_is_the_same_wherever_the_run_begins(folder):
  running = batches(folder, range(6))
  for step in (1, 2, 5):
    assert equal(feed(folder).host_batch(step), running[step])
  jumping = batches(folder, [5, 2, 3])
  assert equal(jumping[1], running[2])
  assert equal(jumping[2], running[3])


def test_crops_differ_by_epoch_and_seed_and_not_by_batch(folder):
  running = batches(folder, range(6))
  by_example = {}
  for batch in running:
    for i, index in enumerate(batch['ids']):
      key = int(batch['epochs'][i]), int(index)
      by_example[key] = batch['images'][i]
  again = [
    np.array_equal(by_example[0, i], by_example[1, i]) for i in range(18)
  ]
  assert sum(again) < 3
  other = config_of(folder)
  other.batch_size = 6
  for batch in batches(folder, range(3), config=other):
    for image, index in zip(batch['images'], batch['ids'], strict=True):
      np.testing.assert_array_equal(image, by_example[0, int(index)])


@pytest.mark.parametrize('hosts', [2, 4])
def test_hosts_share_the_batch_of_one(folder, hosts):
  whole = batches(folder, range(4))
  parts = [
    batches(folder, range(4), host=host, hosts=hosts) for host in range(hosts)
  ]
  for step, one in enumerate(whole):
    joined = {k: np.concatenate([part[step][k] for part in parts]) for k in one}
    assert equal(joined, one)


def test_tfrecords_give_the_batches_of_the_files(folder, tmp_path):
  import tensorflow as tf

  records = pictures.load(config_of(folder).dataset).splits['train']
  files = [str(tmp_path / f'{i}.tfrecord') for i in range(2)]
  for number, file in enumerate(files):
    with tf.io.TFRecordWriter(file) as writer:
      for i in range(number * 10, min(TRAIN, number * 10 + 10)):
        content = pathlib.Path(records.name(i)).read_bytes()
        label = int(records.labels[i])
        example = tf.train.Example(
          features=tf.train.Features(
            feature={
              'image': tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[content])
              ),
              'label': tf.train.Feature(
                int64_list=tf.train.Int64List(value=[label])
              ),
            }
          )
        )
        writer.write(example.SerializeToString())
  table = tfrecords.TFRecords.of(files, image='image', label='label')
  assert len(table) == TRAIN
  ours = batches(folder, range(3), records=table)
  assert all(map(equal, ours, batches(folder, range(3))))

  with open(files[1], 'r+b') as file:
    file.truncate(file.seek(0, 2) - 1)
  with pytest.raises(UserError, match='cut short'):
    tfrecords.TFRecords.of(files, image='image', label='label')


def test_a_record_is_read_without_what_lies_before_it(folder, tmp_path):
  import tensorflow as tf

  file = tmp_path / 'large.tfrecord'
  example = tf.train.Example(
    features=tf.train.Features(
      feature={
        'image': tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[b'x' * 1000])
        ),
        'label': tf.train.Feature(int64_list=tf.train.Int64List(value=[7])),
      }
    )
  )
  with tf.io.TFRecordWriter(str(file)) as writer:
    writer.write(example.SerializeToString())
  record = file.read_bytes()
  with file.open('r+b') as handle:  # a hole of 2 GB before it
    handle.seek(2**31)
    handle.write(record)
  table = tfrecords.TFRecords(
    (str(file),), np.array([[0, 2**31]]), 'image', 'label'
  )
  before = bytes_read()
  contents, label = table.read(tf.constant([0, 2**31], tf.int64))
  assert (contents.numpy(), int(label)) == (b'x' * 1000, 7)
  assert bytes_read() - before < 2**22


def bytes_read():
  text = pathlib.Path('/proc/self/io').read_text()
  return int(text.split()[1])


@pytest.fixture
def damaged(tmp_path):
  """A folder of its own, in which training picture 3 is cut short."""
  folder = write_folder(tmp_path / 'damaged')
  return folder, cut_short(folder, 200)


def cut_short(folder, size):
  file = folder / 'train' / CLASSES[0] / '003.JPEG'
  file.write_bytes(file.read_bytes()[:size])
  return file


@dataclasses.dataclass(frozen=True)
class Renamed:
  """Records in which some examples are others."""

  records: pictures.FileRecords
  other: dict

  def __len__(self):
    return len(self.records)

  def keys(self, ids):
    return self.records.keys(np.array([self.other.get(i, i) for i in ids]))

  def read(self, *key):
    return self.records.read(*key)


def test_what_is_damaged_is_named_and_replaced_by_the_next(damaged, caplog):
  folder, file = damaged
  seen = batches(folder, range(5))
  good = pictures.load(config_of(folder).dataset).splits['train']
  for batch in seen:
    for index, label in zip(batch['ids'], batch['labels'], strict=True):
      assert label == good.labels[index]
  assert (
    f'{file} is damaged and left out (1 so far): Invalid JPEG' in caplog.text
  )
  step = next(k for k, b in enumerate(seen) if 3 in b['ids'])
  # A run that opens after or at the damage trains on the same.
  for k in range(5):
    assert equal(feed(folder).host_batch(k), seen[k])
  place = int(np.flatnonzero(seen[step]['ids'] == 3)[0])
  # In its place is the next picture, cut by the damaged one's seed.
  one = feed(folder, records=Renamed(good, {3: 4})).host_batch(step)
  assert equal(one, seen[step])
  assert not np.array_equal(
    one['images'][place], np.zeros_like(one['images'][place])
  )


def test_a_picture_that_is_damaged_below_some_crops_is_resumed_with(tmp_path):
  from PIL import Image

  folder = write_folder(tmp_path / 'damaged')
  file = folder / 'train' / CLASSES[0] / '003.JPEG'
  Image.fromarray(photographs()[0][:200, :150]).save(file, quality=90)
  cut_short(folder, file.stat().st_size // 2)
  steps = range(0, 27, 2)
  running = dict(zip(steps, batches(folder, steps), strict=True))
  images = [
    b['images'][list(b['ids']).index(3)]
    for b in running.values()
    if 3 in b['ids']
  ]
  assert len(images) > 4
  for step in steps:
    assert equal(feed(folder).host_batch(step), running[step]), step


def test_too_much_damage_is_an_error_that_names_it(damaged):
  folder, file = damaged
  config = config_of(folder)
  config.dataset.max_damaged = 0
  with pytest.raises(UserError, match=f'1 of 18 .*max_damaged is 0: {file}'):
    batches(folder, range(3), config=config)


def test_damage_is_not_counted_in_tests(damaged):
  folder, _ = damaged
  parts = list(
    reader(folder, 'train').parts(Views('single', (19,), CROP), batch_size=4)
  )
  ids = np.concatenate([part.ids for part in parts])
  np.testing.assert_array_equal(np.sort(ids[ids >= 0]), np.delete(range(18), 3))


VIEWS = [
  Views('single', (19,), CROP),
  Views('ten_crop', (19,), CROP),
  Views('dense', (16, 22), CROP),
]


@pytest.mark.parametrize('views', VIEWS, ids=lambda v: v.name)
def test_tests_see_every_picture_once_a_scale_on_any_number_of_hosts(
  folder, views
):
  whole = list(reader(folder).parts(views, batch_size=4))
  ids = np.concatenate([part.ids for part in whole])
  times = len(views.shorter_sides)
  np.testing.assert_array_equal(
    np.sort(ids[ids >= 0]), np.repeat(range(VAL), times)
  )
  hosts = [
    list(reader(folder, host=host, hosts=2).parts(views, batch_size=4))
    for host in (0, 1)
  ]
  seen = []
  for parts in zip(*hosts, strict=True):
    # A network is compiled for each shape, on all hosts at once.
    assert parts[0].images.shape == parts[1].images.shape
    seen += [int(i) for part in parts for i in part.ids if i >= 0]
    for part in parts:
      alone = {int(i): k for k, i in enumerate(part.ids)}
      for other in whole:
        for k, i in enumerate(other.ids):
          if i in alone and part.images.shape[1:] == other.images.shape[1:]:
            mine = part.images[alone[int(i)]]
            np.testing.assert_array_equal(mine, other.images[k])
  assert sorted(seen) == sorted(ids[ids >= 0])
  # Scores add up on one host: no picture is another's at another scale.
  owned = [{int(i) for part in parts for i in part.ids} for parts in hosts]
  assert owned[0] & owned[1] <= {-1}


def test_views_are_cut_where_they_should_be(folder):
  """Against crops of the whole pictures that the dense test resizes."""
  side = 19
  dense = list(reader(folder).parts(Views('dense', (side,), CROP), 1))
  whole = {
    int(part.ids[0]): part.images[0, 0][: part.sizes[0, 0], : part.sizes[0, 1]]
    for part in dense
  }
  for part in reader(folder).parts(Views('ten_crop', (side,), CROP), 5):
    for index, crops in zip(part.ids, part.images, strict=True):
      picture = whole[int(index)]
      bottom, right = (n - CROP for n in picture.shape[:2])
      corners = [
        (0, 0),
        (0, right),
        (bottom, 0),
        (bottom, right),
        (bottom // 2, right // 2),
      ]
      for crop, (top, left) in zip(crops, corners, strict=True):
        expected = picture[top : top + CROP, left : left + CROP]
        np.testing.assert_array_equal(crop, expected)
  for part in reader(folder).parts(Views('single', (side,), CROP), 5):
    for index, (crop,) in zip(part.ids, part.images, strict=True):
      picture = whole[int(index)]
      top, left = ((n - CROP) // 2 for n in picture.shape[:2])
      expected = picture[top : top + CROP, left : left + CROP]
      # The window alone is decoded here: rounding may differ by a level.
      difference = np.abs(crop.astype(int) - expected)
      assert difference.max() <= 1


def test_on_the_device_pictures_are_flipped_shifted_and_mean_free(folder):
  config = config_of(folder, pca_std=0.1)
  one = feed(folder, config=config)
  batch = one.host_batch(0)
  rng = np.random.default_rng(0)
  norm = Normalization.by(rng.uniform(0, 255, (CROP, CROP, 3)))
  images, labels = jax.jit(one.make_batch)(0, (), batch, norm)
  np.testing.assert_array_equal(labels, batch['labels'])
  flips, shifts = [], []
  for image, source in zip(np.asarray(images), batch['images'], strict=True):
    rest = [
      image - (x.astype(np.float32) - norm.mean)
      for x in (source, source[:, ::-1])
    ]
    flip = int(np.argmin([r.std((0, 1)).max() for r in rest]))
    flips.append(flip)
    shift = rest[flip].mean((0, 1))
    np.testing.assert_allclose(
      rest[flip], np.broadcast_to(shift, image.shape), atol=1e-3
    )
    shifts.append(shift)
  assert set(flips) == {0, 1}
  assert len({tuple(np.round(s, 3)) for s in shifts}) == len(shifts)


def test_colours_shift_along_the_components_of_alexnet():
  keys = jax.random.split(jax.random.key(0), 20_000)
  shifts = np.asarray(jax.vmap(lambda k: color.pca_offset(k, 0.1))(keys))
  np.testing.assert_allclose(shifts.mean(0), 0, atol=0.1)
  values, vectors = np.linalg.eigh(np.cov(shifts.T))
  np.testing.assert_allclose(
    np.sqrt(values)[::-1], [5.546, 0.4794, 0.1148], rtol=0.03
  )
  # Brightness above all: the first component is nearly grey.
  np.testing.assert_allclose(np.abs(vectors[:, 2]), 3**-0.5, atol=0.02)


@pytest.mark.parametrize(
  ('change', 'telling'),
  [
    (lambda root: root / 'nowhere', 'there is no folder'),
    (lambda root: root / 'train', 'has no folder train/, only flower, temple'),
    ('empty class', 'temple holds no picture'),
    ('one class', 'has 1 class folders'),
    ('missing class', '1 are missing .temple.'),
    ('misspelt class', "1 are not in train .temples..*did you mean 'temple'"),
    ('no val', 'nothing to test on'),
  ],
)
def test_folders_out_of_order_are_refused(tmp_path, change, telling):
  root = write_folder(tmp_path / 'set', train=2, val=1)
  if callable(change):
    root = change(root)
  elif change == 'empty class':
    for file in (root / 'train' / 'temple').iterdir():
      file.rename(file.with_suffix('.txt'))
  elif change == 'one class':
    (root / 'train' / 'temple').rename(root / 'temple')
  elif change == 'missing class':
    (root / 'val' / 'temple').rename(root / 'temple')
  elif change == 'misspelt class':
    (root / 'val' / 'temple').rename(root / 'val' / 'temples')
  else:
    (root / 'val').rename(root / 'other')
  with pytest.raises(UserError, match=telling):
    pictures.load(config_of(root).dataset)


def test_validation_pictures_can_be_held_out(tmp_path):
  root = write_folder(tmp_path / 'set', train=5, val=1)
  (root / 'val').rename(root / 'test')
  config = config_of(root).dataset
  config.validation_examples = 4
  splits = pictures.load(config).splits
  assert {k: len(v) for k, v in splits.items()} == {
    'train': 6,
    'test': 2,
    'validation': 4,
  }
  names = [s.name(i) for s in splits.values() for i in range(len(s))]
  assert len(set(names)) == 12


def test_the_views_of_a_config_are_those_of_the_paper():
  from configs import imagenet

  config = imagenet.get_config()
  expected = {
    'single': (256,),
    'ten_crop': (256,),
    'dense': (224, 256, 384, 480, 640),
  }
  for name, sides in expected.items():
    config.test.views = name
    assert views_of(config) == Views(name, sides, 224)


def test_a_mean_image_is_of_no_use_to_images_of_another_size():
  mean = np.arange(12.0).reshape(2, 2, 3)
  norm = Normalization(jnp.float32(mean), jnp.float32([1, 2, 4]))
  image = np.full((3, 5, 3), 7, np.uint8)
  expected = (7 - mean.mean((0, 1))) / [1, 2, 4]
  np.testing.assert_allclose(norm(image), np.broadcast_to(expected, (3, 5, 3)))
  np.testing.assert_allclose(norm(image[:2, :2]), (7 - mean) / [1, 2, 4])


@pytest.mark.slow
def test_a_tfds_set_is_read_by_its_records(folder, tmp_path):
  import tensorflow_datasets as tfds

  class PicturesForTests(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
          {
            'image': tfds.features.Image(encoding_format='jpeg'),
            'label': tfds.features.ClassLabel(names=CLASSES),
          }
        ),
        supervised_keys=('image', 'label'),
      )

    def _split_generators(self, _):
      return {s: self._generate_examples(s) for s in ('train', 'validation')}

    def _generate_examples(self, split):
      root = pathlib.Path(folder, {'validation': 'val'}.get(split, split))
      for file in sorted(root.glob('*/*.JPEG')):
        yield (
          f'{file.parent.name}-{file.name}',
          {'image': file, 'label': file.parent.name},
        )

  tfds.display_progress_bar(False)
  PicturesForTests(data_dir=tmp_path).download_and_prepare()
  config = config_of('')
  config.dataset.name = 'pictures_for_tests'
  config.dataset.data_dir = str(tmp_path)
  found = pictures.load(config.dataset)
  assert found.class_names == CLASSES
  assert {k: len(v) for k, v in found.splits.items()} == {
    'train': TRAIN - 2,
    'validation': VAL - 2,
  }
  config.batch_size = TRAIN - 2
  batch = feed('', config=config, records=found.splits['train']).host_batch(0)
  assert sorted(batch['ids']) == list(range(TRAIN - 2))
  assert np.bincount(batch['labels']).tolist() == [TRAIN // 2 - 1] * 2
  assert len({image.tobytes() for image in batch['images']}) == TRAIN - 2
