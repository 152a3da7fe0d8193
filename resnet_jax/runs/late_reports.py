"""Silence for TensorStore's threads, which report to a loop that is closed.

Orbax reads all arrays of a checkpoint at once, in an event loop that ends with
the first that is damaged. Each of the others then prints a traceback, some
hundred lines in all, beside the error that the user is told of.
"""

import functools
import sys
from typing import Any


@functools.cache
def silence() -> None:
  """Drops these reports alone, from now on: some come late."""
  before = sys.unraisablehook

  def hook(report: Any) -> None:
    late = isinstance(report.exc_value, RuntimeError)
    if not (late and str(report.exc_value) == 'Event loop is closed'):
      before(report)

  sys.unraisablehook = hook
