"""torchvision's networks, without its compiled operators."""

import importlib
import sys
from typing import Any

_libraries: list[Any] = []  # operators go when their library does


def import_torchvision() -> Any:
  """torchvision, also where its compiled part is of another PyTorch.

  Raises:
    ImportError: PyTorch or torchvision is not installed.
  """
  import torch

  try:
    return importlib.import_module('torchvision')
  except RuntimeError:
    # Its import looks for two operators, which classifiers do not use.
    library = torch.library.Library('torchvision', 'DEF')
    _libraries.append(library)
    signature = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
    for name in ('nms', 'qnms'):
      library.define(name + signature)
    for module in [m for m in sys.modules if m.split('.')[0] == 'torchvision']:
      del sys.modules[module]
    return importlib.import_module('torchvision')
