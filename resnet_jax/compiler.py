"""XLA's options for the compiled steps, by backend.

They change how a result is computed, and the result only by rounding. What each
gains is measured in docs/performance.md.
"""

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

_log = logging.getLogger('resnet_jax')

_OPTIONS = {
  'cpu': {
    # Leaves YNNPACK the reductions alone, in which it is faster and more exact.
    # In the weights' gradients it is up to eight times slower than XLA.
    'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_REDUCE',
    # Keeps the barriers of models/blocks.py until fusions have been made.
    'xla_disable_hlo_passes': 'cse_barrier_expander',
  }
}


class Compiled:
  """A function mapped by `jax.pmap`, compiled with this backend's options.

  `pmap` itself takes no options. There is a program for each combination of
  shapes that the function is called with, as in `pmap`. On several hosts `pmap`
  also makes global arrays of each host's, which its compiled program does not:
  there the options are not used.

  Args:
    mapped: The mapped function.
  """

  def __init__(self, mapped: Callable[..., Any]) -> None:
    self._mapped = mapped
    self._programs: dict[Any, Callable[..., Any]] = {}

  def __call__(self, *args: Any) -> Any:
    chosen = options(jax.default_backend())
    if not chosen or jax.process_count() > 1:
      return self._mapped(*args)
    leaves, structure = jax.tree.flatten(args)
    key = structure, tuple((np.shape(x), x.dtype) for x in leaves)
    if key not in self._programs:
      lowered = self.lower(*args)
      self._programs[key] = lowered.compile(compiler_options=chosen)
    return self._programs[key](*args)

  def lower(self, *args: Any) -> Any:
    """`jax.pmap(...).lower`, for a look at the program."""
    return self._mapped.lower(*args)  # type: ignore[attr-defined]


@functools.cache
def options(backend: str) -> dict[str, str]:
  """The options that this jaxlib knows, and that XLA_FLAGS does not set."""
  known = {}
  for name, value in _OPTIONS.get(backend, {}).items():
    if name in os.environ.get('XLA_FLAGS', ''):
      continue
    try:
      jax.jit(lambda: 0).lower().compile(compiler_options={name: value})
      known[name] = value
    except jax.errors.JaxRuntimeError:
      _log.info('this jaxlib has no %s=%s: steps are slower', name, value)
  return known
