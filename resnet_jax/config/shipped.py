"""The config files that come with the package, and how they are named.

  --config=cifar_resnet56                 the shipped one
  --config=configs/cifar_resnet56.py      a file, or else the shipped one

They are in configs/ of the repository, and in resnet_jax/configs/ where the
package is installed.
"""

import importlib.util
import pathlib
import re
import sys
import types

from resnet_jax.errors import UserError, did_you_mean

_PACKAGE = pathlib.Path(__file__).parents[1]


def folder() -> pathlib.Path:
  """The folder of the config files that came with this package."""
  installed = _PACKAGE / 'configs'
  return installed if installed.is_dir() else _PACKAGE.parent / 'configs'


def find(name: str) -> pathlib.Path:
  """The config file that `name` names: a path, or the name of a shipped one.

  Raises:
    UserError: naming the nearest that there is.
  """
  file = pathlib.Path(name).expanduser()
  if file.is_file():
    return file
  # A module's name, configs.cifar_resnet56, is a path that was typed otherwise.
  short = re.sub(r'^configs[./]|\.py$', '', name)
  shipped = folder() / f'{short}.py'
  if re.fullmatch(r'\w+', short) and shipped.is_file():
    return shipped
  beside = file.parent.is_dir() and file.parent != pathlib.Path()
  near = file.parent if beside else folder()
  names = sorted(f.name for f in near.glob('*.py'))
  known = names if beside else [name.removesuffix('.py') for name in names]
  guess = did_you_mean(file.name if beside else short, known)
  raise UserError(
    f'--config: there is no file {file}{guess}; {near}/ holds '
    f'{", ".join(known) or "no configs"}'
  )


def make_importable(file: pathlib.Path) -> None:
  """Lets `file` import `configs.common` and its like, wherever we are run.

  `configs` is the folder of `file`, if that is its name, and then ours; never
  a package of that name that happens to be in the current folder.
  """
  own = file.resolve().parent
  folders = [own] if own.name == 'configs' else []
  package = types.ModuleType('configs', 'The config files, shipped or beside.')
  package.__path__ = list(map(str, dict.fromkeys([*folders, folder()])))
  if getattr(sys.modules.get('configs'), '__path__', None) == package.__path__:
    return
  for name in [n for n in sys.modules if re.match(r'configs(\.|$)', n)]:
    del sys.modules[name]
  sys.modules['configs'] = package


def common() -> types.ModuleType:
  """The module that declares all fields, with their defaults."""
  spec = importlib.util.spec_from_file_location(
    '_shipped_common', folder() / 'common.py'
  )
  assert spec and spec.loader
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
