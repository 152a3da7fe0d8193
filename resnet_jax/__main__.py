"""The command `resnet_jax`, for where the package is installed.

resnet_jax --config=cifar_resnet56         # resnet_jax.main
resnet_jax predict --checkpoint=SERIES/STEP cat.jpg
resnet_jax weights show resnet50.pth
resnet_jax paper list
"""

import importlib
import sys

from resnet_jax import missing, signals
from resnet_jax.malloc import keep_memory

_OTHERS = {
  'predict': 'resnet_jax.predict',
  'weights': 'resnet_jax.weights.__main__',
  'paper': 'resnet_jax.paper.__main__',
}


def run() -> None:
  """The command line: that of `resnet_jax.main`, or of another by its name.

  Raises:
    SystemExit: with the exit code, see `shell`.
  """
  missing.report_uncaught()
  signals.end_at_once()
  if sys.argv[1:] and sys.argv[1] in _OTHERS:
    importlib.import_module(_OTHERS[sys.argv.pop(1)]).run()
    return
  keep_memory()
  importlib.import_module('resnet_jax.main').run()


if __name__ == '__main__':
  run()
