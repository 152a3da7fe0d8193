"""Prediction on pictures, against the module on crops made by Pillow."""

import csv
import io
import json
import os
import pathlib
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from resnet_jax import models, predict, weights
from resnet_jax.weights.__main__ import run as weights_command
from tests.data.streamed.pictures import write_folder

pytest.importorskip('tensorflow')
pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(scope='module')
def imported(tmp_path_factory):
  """A CIFAR net with random weights that went out and came in again."""
  folder = tmp_path_factory.mktemp('weights')
  model = models.create('cifar_resnet8')
  variables = model.init(jax.random.key(0), np.zeros((1, 32, 32, 3)))
  file = folder / 'net.safetensors'
  weights.write_safetensors(file, weights.from_variables(variables, model))
  weights_command(['import', str(file), str(folder / 'net')])
  return folder / 'net' / '0', model, variables


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write_folder(tmp_path_factory.mktemp('pictures'), train=3, val=1)


def expected(imported, file, side=32):
  """Probabilities by Pillow and the plain module."""
  _, model, variables = imported
  with Image.open(file) as opened:
    picture = opened.convert('RGB')
  scale = side / min(picture.size)
  size = [int(n * scale + 0.5) for n in picture.size]
  left, top = ((n - 32) // 2 for n in size)
  resized = picture.resize(size, Image.Resampling.BILINEAR)
  crop = np.asarray(resized.crop((left, top, left + 32, top + 32)))
  mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
  x = (crop / 255 - mean) / std
  return np.asarray(jax.nn.softmax(model.apply(variables, x[None])[0]))


def test_classes_and_probabilities_are_those_of_the_module(
  imported, folder, tmp_path
):
  path, *_ = imported
  table, document = tmp_path / 'out.csv', tmp_path / 'out.json'
  for output in (table, document):
    predict.run(
      [f'--checkpoint={path}', f'--output={output}', '--top=10', str(folder)]
    )
  entries = json.loads(document.read_text())
  assert len(entries) == 8
  for entry in entries:
    reference = expected(imported, entry['file'])
    assert sorted(entry['labels']) == list(range(10))
    assert entry['probabilities'] == sorted(entry['probabilities'])[::-1]
    # Decoders and rounding differ by a level in some pixels.
    np.testing.assert_allclose(
      entry['probabilities'], reference[entry['labels']], atol=2e-3
    )
  assert 'airplane' in entries[0]['names']
  rows = list(csv.DictReader(table.read_text().splitlines()))
  assert len(rows) == 80
  assert [r['name'] for r in rows[:10]] == entries[0]['names']


def test_patterns_and_what_cannot_be_read(imported, folder, tmp_path, capsys):
  path, *_ = imported
  text = tmp_path / 'text.jpg'
  text.write_text('no picture')
  pattern = f'{folder}/train/flower/*.JPEG'
  with pytest.raises(SystemExit) as stop:
    predict.run([f'--checkpoint={path}', '--top=1', pattern, str(text)])
  assert stop.value.code == 2
  shown = capsys.readouterr()
  good = sorted(map(str, pathlib.Path(folder).glob('train/flower/*.JPEG')))
  assert [f for f in good if f in shown.out] == good
  assert f'1 of {len(good) + 1} files could not be read: {text}' in shown.err


def test_no_picture_at_all_is_an_error(imported, tmp_path, capsys):
  text = tmp_path / 'text.jpg'
  text.write_text('no picture')
  with pytest.raises(SystemExit):
    predict.run([f'--checkpoint={imported[0]}', str(text)])
  assert f'none of the 1 files can be read as a picture: {text}' in (
    capsys.readouterr().err
  )


@pytest.mark.parametrize(
  ('words', 'telling'),
  [
    (['--checkpoint=nowhere/0', '{}'], 'SERIES/STEP'),
    (['--checkpoint={path}', 'nowhere.jpg'], 'nowhere.jpg is no picture'),
    (['--checkpoint={path}', '--top=0', '{}'], '--top=0'),
    (['--checkpoint={path}', '--output=x.txt', '{}'], '.csv or .json'),
    (['--checkpoint={path}', '--resize=31', '{}'], 'it can be 32 or more'),
    (['--checkpoint={path}', '--resize=32,64', '{}'], 'for --views=dense'),
  ],
)
def test_bad_words_are_refused(imported, folder, capsys, words, telling):
  words = [w.format(folder, path=imported[0]) for w in words]
  with pytest.raises(SystemExit) as stop:
    predict.run(words)
  assert stop.value.code == 2
  assert telling in capsys.readouterr().err


def test_mirror_images_and_crops_are_averaged(imported, folder):
  path, *_ = imported
  files = predict.find_pictures([str(folder / 'val')])
  for views in ('ten_crop', 'dense'):
    (one, *_), damaged = predict.Predictor(path, views=views)(files, top=10)
    assert not damaged
    assert abs(sum(one.probabilities) - 1) < 1e-5


def test_the_size_of_pictures_can_be_set(imported, folder, capsys):
  path, *_ = imported
  file = f'{folder}/train/flower/001.png'  # no decoder differs on it
  one = predict.Predictor(path, resize=(96,))([file], top=10)[0][0]
  distances = [
    np.abs(expected(imported, file, side)[one.labels] - one.probabilities).max()
    for side in (32, 64, 96)
  ]
  assert distances[2] < min(distances[:2])
  words = ['--views=dense', '--resize=32,48', file]
  predict.run([f'--checkpoint={path}', *words])
  assert file in capsys.readouterr().out
  with pytest.raises(SystemExit):
    predict.run([f'--checkpoint={path}', '--resize=big', file])
  assert "'big' must be a number of pixels" in capsys.readouterr().err


def test_names_that_are_no_text(imported, folder, tmp_path, monkeypatch):
  """Undecodable names, on a terminal that knows ASCII alone."""
  picture = next(pathlib.Path(folder).glob('val/flower/*'))
  odd = os.path.join(os.fsencode(tmp_path), b'caf\xe9\n\xc3\xa9.JPEG')
  pathlib.Path(os.fsdecode(odd)).write_bytes(picture.read_bytes())
  (tmp_path / 'bad\nerror: é.jpg').write_text('no picture')
  output = tmp_path / 'out.csv'
  for more in ([], [f'--output={output}']):
    out, err = (io.TextIOWrapper(io.BytesIO(), 'ascii') for _ in range(2))
    monkeypatch.setattr(sys, 'stdout', out)
    monkeypatch.setattr(sys, 'stderr', err)
    with pytest.raises(SystemExit) as stop:
      predict.run([f'--checkpoint={imported[0]}', *more, str(tmp_path)])
    assert stop.value.code == 2
    for stream in (out, err):
      stream.flush()
    shown, error = (s.buffer.getvalue().decode('ascii') for s in (out, err))
    assert '\nerror:' not in shown and '\nerror:' not in error
    assert r'bad\nerror: \xe9.jpg' in error
    assert more or r'caf\xe9\n\xe9.JPEG' in shown
  row = list(csv.reader(output.read_text('utf-8').splitlines()))[1]
  assert row[0] == rf'{tmp_path}/caf\xe9\né.JPEG'
