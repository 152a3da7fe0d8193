"""The function of the user's own that is given every record of a run.

--config.run.hook=my_logging:open_run names a function of this form:

  def open_run(config: dict, workdir: str):
    wandb.init(config=config, dir=workdir)
    return lambda record: wandb.log(record, step=record['step'])

It is called by the first host when the loop begins; what it returns is called
with every record that goes into metrics.jsonl.
"""

import importlib
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from resnet_jax.errors import UserError, first_line

_log = logging.getLogger('resnet_jax')

Hook = Callable[[dict[str, Any]], object]


def load(name: str) -> Callable[[dict[str, Any], str], Hook]:
  """The function that `name`, 'module:function', names.

  The module may be in the current folder.

  Raises:
    UserError: there is no such module or function.
  """
  module, _, function = name.partition(':')
  if not module or not function:
    raise UserError(
      f"config.run.hook is {name!r}; it must be 'module:function', such as "
      f"'my_logging:open_run'"
    )
  if os.getcwd() not in sys.path and '' not in sys.path:
    sys.path.append(os.getcwd())
  try:
    found = getattr(importlib.import_module(module), function)
  except Exception as e:  # the module is the user's: it may raise anything
    raise UserError(
      f'config.run.hook {name!r} cannot be loaded: {type(e).__name__}: '
      f'{first_line(e)}. Is the module in the current folder, or installed?'
    ) from e
  if not callable(found):
    raise UserError(f'config.run.hook {name!r} is {found!r}, and no function')
  return found


def open_hook(name: str, config: dict[str, Any], workdir: pathlib.Path) -> Hook:
  """Opens the hook; a failure of it never ends a run that takes days.

  Args:
    name: 'module:function', or '' for none.
    config: The run's, as it is written to config.json.
    workdir: The run's folder.

  Raises:
    UserError: it cannot be opened; nothing has been trained yet.
  """
  if not name:
    return lambda record: None
  try:
    call = load(name)(config, str(workdir))
  except UserError:
    raise
  except Exception as e:
    raise UserError(
      f'config.run.hook {name!r} failed when it was opened: '
      f'{type(e).__name__}: {first_line(e)}'
    ) from e
  if not callable(call):
    raise UserError(
      f'config.run.hook {name!r} returned {call!r}; it must return a function '
      f'of one record'
    )
  return _Guarded(name, call)


class _Guarded:
  """Calls the hook, and says once if it fails."""

  def __init__(self, name: str, call: Hook) -> None:
    self._name = name
    self._call = call
    self._failed = False

  def __call__(self, record: Mapping[str, Any]) -> None:
    try:
      self._call(dict(record))
    except Exception as e:
      if not self._failed:
        _log.warning(
          'config.run.hook %r failed: %s: %s (the run goes on, and '
          'metrics.jsonl has it all)',
          self._name,
          type(e).__name__,
          first_line(e),
        )
      self._failed = True
