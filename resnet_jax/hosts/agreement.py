"""The agreement of several hosts, before they train together.

Collectives do not notice that hosts were given other seeds, data or source:
they would add up gradients of different runs. And a host that fails alone would
leave the others waiting.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from resnet_jax.errors import UserError
from resnet_jax.waits import waiting_for


@contextlib.contextmanager
def agreeing() -> Iterator[dict[str, Any]]:
  """Gives a dict to note facts in, which all hosts must have noted alike.

  Where one of them fails inside the `with` block, all of them do.

  Raises:
    UserError: hosts differ, with the host and the fact, or another one failed.
  """
  facts: dict[str, Any] = {}
  if jax.process_count() == 1:
    yield facts
    return
  try:
    yield facts
  except Exception as e:
    _gather({'error': str(e) or type(e).__name__})
    raise
  # As text: what JSON cannot hold is compared by how it is written.
  notes = _gather({'facts': {name: str(x) for name, x in facts.items()}})
  for host, note in enumerate(notes):
    if 'error' in note:
      raise UserError(f'host {host} of {len(notes)}: {note["error"]}')
  for host, note in enumerate(notes):
    _check_same(notes[0]['facts'], note['facts'], host, len(notes))


def of_the_first(text: str) -> str:
  """The text that the first host gives; all must call this."""
  if jax.process_count() == 1:
    return text
  return str(_gather({'text': text})[0]['text'])


def meet() -> None:
  """Returns once all hosts have come here."""
  if jax.process_count() > 1:
    with waiting_for('the other hosts'):
      multihost_utils.process_allgather(np.zeros((), np.int32))


def _check_same(
  first: dict[str, str], other: dict[str, str], host: int, hosts: int
) -> None:
  differences = [
    f'{name} is {other.get(name)} there and {first.get(name)} on host 0'
    for name in (first | other)
    if first.get(name) != other.get(name)
  ]
  if differences:
    more = len(differences) - 5
    raise UserError(
      f'host {host} of {hosts} would train another run: '
      f'{"; ".join(differences[:5])}{f"; and {more} more" * (more > 0)}. '
      f'Start all hosts with the same flags, data and source'
    )


def _gather(note: dict[str, Any]) -> list[dict[str, Any]]:
  """The notes of all hosts, in their order."""
  text = np.frombuffer(json.dumps(note).encode(), np.uint8)
  with waiting_for('the other hosts'):
    sizes = multihost_utils.process_allgather(np.array(text.size, np.int32))
  padded = np.zeros(int(sizes.max()), np.uint8)
  padded[: text.size] = text
  rows = np.asarray(multihost_utils.process_allgather(padded))
  return [
    json.loads(row[:size].tobytes())
    for row, size in zip(rows, sizes, strict=True)
  ]
