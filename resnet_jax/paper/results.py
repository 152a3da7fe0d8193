"""Results as JSON files hold them, and the error for damaged files."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator
from typing import Any

from resnet_jax.errors import UserError, first_line
from resnet_jax.runs.workdir import read_json, set_aside


class DamagedError(UserError):
  """A file is no record, no longer one, or of weights that are no more."""

  def __init__(self, file: pathlib.Path, reason: str) -> None:
    super().__init__(
      f'{file} {reason}; delete it, and the command that made it makes it anew '
      f'from the last checkpoint'
    )
    self._file = file

  def set_aside(self) -> str:
    """Renames the file, and returns the message with its new name."""
    aside = set_aside(self._file)
    return f'{self}; it is now {aside.name}'


@dataclasses.dataclass(frozen=True)
class Score:
  """Result of one evaluation; errors are fractions."""

  error: float
  error_top5: float

  @classmethod
  def parse(cls, content: Any) -> 'Score':
    fields = dataclasses.fields(cls)
    return cls(*(number(content[field.name]) for field in fields))


@dataclasses.dataclass(frozen=True)
class LayerResponses:
  """Standard deviations by layer (Fig. 7), of some images.

  `definition` has the fields of `responses.Definition`.
  """

  network: str
  definition: dict[str, Any]
  images: int
  stds: list[float]

  @classmethod
  def parse(cls, content: Any) -> 'LayerResponses':
    keys = ('split', 'images', 'pooling', 'statistics', 'batch_size')
    definition = {key: content['definition'][key] for key in keys}
    stds = [number(layer['std']) for layer in content['layers']]
    if not stds:
      raise ValueError('no layers')
    return cls(content['network'], definition, content['images'], stds)


@contextlib.contextmanager
def reading(file: pathlib.Path) -> Iterator[Any]:
  """Gives the content of a JSON file to the block that parses it.

  Raises:
    DamagedError: it is no JSON, not what was written, or the block does not
      find what it looks for.
  """
  try:
    content = read_json(file)
  except (OSError, ValueError) as e:
    raise DamagedError(file, f'cannot be read ({first_line(e)})') from e
  try:
    yield content
  except KeyError as e:
    raise DamagedError(file, f'is no record: it lacks {e}') from e
  except (AttributeError, TypeError, ValueError) as e:
    raise DamagedError(file, f'is no record ({first_line(e)})') from e


def number(x: Any) -> Any:
  """Returns `x`; raises an error where it is no finite number."""
  if isinstance(x, bool) or not math.isfinite(x):
    raise ValueError(f'{x} is no number')
  return x
