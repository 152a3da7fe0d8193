"""What a network sees on pictures, shown, or written as CSV or JSON."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import TextIO

from resnet_jax import text
from resnet_jax.errors import UserError
from resnet_jax.predictor import Prediction

SUFFIXES = ('.csv', '.json')


def show(predictions: Sequence[Prediction]) -> None:
  """Prints each picture's classes."""
  for one in predictions:
    print(text.plain(one.file))
    for name, probability in zip(one.names, one.probabilities, strict=True):
      print(f'  {100 * probability:6.2f} %  {text.plain(name)}')


def check_writable(file: pathlib.Path) -> None:
  """Refuses, before the work, a file that `write` could not write.

  Raises:
    UserError: with the system's reason.
  """
  try:
    text.check_replaceable(file)
  except OSError as e:
    raise UserError(f'--output={file}: {e.strerror}') from e


def write(file: pathlib.Path, predictions: Sequence[Prediction]) -> None:
  """Writes all to `file`, a .csv or .json, which is whole or as it was.

  Raises:
    UserError: it cannot be written.
  """
  make = _csv if file.suffix == '.csv' else _json
  try:
    with text.replacing(file) as stream:
      make(stream, predictions)
  except OSError as e:
    raise UserError(f'--output={file}: {e.strerror}') from e


def _csv(stream: TextIO, predictions: Sequence[Prediction]) -> None:
  table = csv.writer(stream)
  table.writerow(['file', 'rank', 'label', 'name', 'probability'])
  for one in predictions:
    file = text.cell(one.file)
    entries = zip(one.labels, one.names, one.probabilities, strict=True)
    for rank, (label, name, probability) in enumerate(entries, 1):
      table.writerow([file, rank, label, text.cell(name), probability])


def _json(stream: TextIO, predictions: Sequence[Prediction]) -> None:
  # Escapes all that is not ASCII, also what is no character.
  json.dump([dataclasses.asdict(one) for one in predictions], stream, indent=2)
  stream.write('\n')
