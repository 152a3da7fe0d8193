"""Files that are damaged one by one: arrays, weights, pictures, names."""

import functools
import importlib.util
import io
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.command import write_digits
from tests.damage_kind import Kind, logged, of_file

_SIDE = 32


def files(folder: pathlib.Path) -> Iterator[tuple[str, Kind]]:
  """Good examples, written to `folder`, by what they are."""
  folder.mkdir()
  yield from _arrays(folder)
  yield from _weights(folder)
  for suffix in ('jpg', 'png', 'bmp', 'gif', 'webp', 'tif'):
    yield f'picture .{suffix}', _pictures(folder, suffix)
  yield 'TFRecords', _tfrecords(folder)


def _arrays(folder: pathlib.Path) -> Iterator[tuple[str, Kind]]:
  from resnet_jax.data.resident.sources import from_npz
  from resnet_jax.data.streamed.data import _read_mean
  from resnet_jax.weights import labels

  digits = folder / 'digits.npz'
  write_digits(digits)
  yield (
    'arrays .npz',
    of_file(
      digits, lambda file: from_npz(str(file)).fingerprint(), checked=True
    ),
  )
  mean = folder / 'mean.npz'
  pixels = np.linspace(0, 255, 8 * 8 * 3, dtype=np.float32).reshape(8, 8, 3)
  np.savez(mean, mean=pixels, made_of='these pictures')
  yield (
    'mean image',
    of_file(
      mean,
      lambda file: _read_mean(file, (8, 8, 3), 'these pictures'),
      checked=True,
    ),
  )
  names = folder / 'classes.txt'
  names.write_text('\n'.join(f'class {i}' for i in range(40)) + '\n')

  def read_names(file: pathlib.Path) -> list[str] | None:
    found = labels.read(file)
    labels.check(found or [], 40, file)
    return found

  yield 'class names', of_file(names, read_names, checked=False)


def _weights(folder: pathlib.Path) -> Iterator[tuple[str, Kind]]:
  import jax

  from resnet_jax import models, weights

  model = models.create('cifar_resnet8')
  images = np.zeros((1, 32, 32, 3))
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: rng.uniform(0.5, 1, x.shape).astype(x.dtype), shapes
  )
  arrays = weights.from_variables(variables, model)
  npz = folder / 'weights.npz'
  np.savez(npz, **arrays)
  yield 'weights .npz', of_file(npz, weights.read, checked=True)
  file = folder / 'weights.safetensors'
  weights.write_safetensors(file, arrays)

  def read(file: pathlib.Path) -> Any:
    found = weights.read_checkpoint(file)
    meta = {k: v for k, v in found.meta.items() if k != 'data'}
    return found.arrays | {'meta': json.dumps(meta)}

  yield 'weights .safetensors', of_file(file, read, checked=False)
  ours = folder / 'ours.safetensors'
  weights.export_checkpoint(file, ours)
  yield 'weights that we exported', of_file(ours, read, checked=True)
  if importlib.util.find_spec('torch'):
    import torch

    pth = folder / 'weights.pth'
    torch.save({k: torch.from_numpy(x) for k, x in arrays.items()}, pth)
    yield 'weights .pth', of_file(pth, weights.read, checked=False)


def _pictures(folder: pathlib.Path, suffix: str) -> Kind:
  """Pictures that are read as a set, of which the damaged are left out."""
  from PIL import Image

  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
  stream = io.BytesIO()
  form = {'jpg': 'JPEG', 'tif': 'TIFF'}.get(suffix, suffix.upper())
  Image.fromarray(pixels).save(stream, form)
  file = folder / f'picture.{suffix}'
  file.write_bytes(stream.getvalue())
  read = functools.partial(_read_pictures, sound=file)
  (right,) = read([file])

  def judge(found: Any) -> tuple[str, str]:
    if isinstance(found, str):
      return 'left out', found
    return ('same' if np.array_equal(found, right) else 'other'), ''

  return Kind(file, [''], read, judge)


def _read_pictures(
  paths: Sequence[pathlib.Path], sound: pathlib.Path
) -> list[Any]:
  """The centre crop of each, or the reason why it is left out.

  Args:
    paths: The pictures.
    sound: One more that is whole, since not all of a set can be left out.
  """
  from resnet_jax.data.streamed.records import FileRecords

  everything = [*map(str, paths), str(sound)]
  records = FileRecords.of(everything, [0] * len(everything))
  return _crops(records, len(paths), lambda i: str(paths[i]))


def _crops(records: Any, count: int, name: Callable[[int], str]) -> list[Any]:
  from resnet_jax.data.streamed.view_reader import ViewReader
  from resnet_jax.data.views import Views

  reader = ViewReader(
    records, antialias=False, max_damaged=len(records), host=0, hosts=1
  )
  with logged() as lines:
    parts = list(reader.parts(Views('single', (_SIDE,), _SIDE), 32))
  crops = {
    int(i): image
    for part in parts
    for i, image in zip(part.ids, part.images, strict=True)
  }
  reasons = [[x for x in lines if x.startswith(name(i))] for i in range(count)]
  return [crops[i] if i in crops else _reason(reasons[i]) for i in range(count)]


def _reason(lines: list[str]) -> str | Exception:
  if len(lines) != 1:
    return AssertionError(f'a picture is left out with the lines {lines}')
  return lines[0]


def _tfrecords(folder: pathlib.Path) -> Kind:
  """Records of a label and random contents, each of which has a checksum."""
  import tensorflow as tf

  from resnet_jax.data.streamed.tfrecords import TFRecords
  from resnet_jax.errors import UserError

  rng = np.random.default_rng(0)
  file = folder / 'set.tfrecord'
  with tf.io.TFRecordWriter(str(file)) as writer:
    for label in range(4):
      image = tf.train.BytesList(value=[rng.bytes(100)])
      number = tf.train.Int64List(value=[label])
      features = {
        'image': tf.train.Feature(bytes_list=image),
        'label': tf.train.Feature(int64_list=number),
      }
      features = tf.train.Features(feature=features)
      writer.write(tf.train.Example(features=features).SerializeToString())

  def read(path: pathlib.Path) -> Any:
    records = TFRecords.of([str(path)], image='image', label='label')
    if len(records) != 4:  # as `sources` compares with what TFDS has noted
      raise UserError(f'{len(records)} records')
    found = []
    for key in records.spans:
      try:
        contents, label = records.read(tf.constant(key))
      except tf.errors.OpError as e:  # which `Stream` makes a line of the log
        raise UserError(str(e).splitlines()[0]) from e
      found.append((contents.numpy(), int(label)))
    return found

  return of_file(file, read, checked=True)
