"""Words for a device whose memory does not suffice."""

import contextlib
import re
from collections.abc import Iterator

import jax

from resnet_jax.errors import UserError, first_line

# What XLA says of its allocator, and CUDA and its libraries of theirs.
_FULL = re.compile(
  r'RESOURCE_EXHAUSTED|Out of memory|CUDA_ERROR_OUT_OF_MEMORY|_ALLOC_FAILED'
)


@contextlib.contextmanager
def told() -> Iterator[None]:
  """Makes an error that the user can mend of a device out of memory.

  Raises:
    UserError: the memory did not suffice for what the block did.
  """
  try:
    yield
  except (jax.errors.JaxRuntimeError, MemoryError) as e:
    if isinstance(e, jax.errors.JaxRuntimeError) and not _FULL.search(str(e)):
      raise
    raise UserError(
      f'the memory does not suffice: {first_line(e)}. Compute each batch in '
      f'parts, to the same result, with --config.run.microbatches=2 (or 4, 8), '
      f'keep less of it with --config.model.remat=True, or lower '
      f'--config.batch_size; to evaluate, lower '
      f'--config.run.eval_batch_size, and to predict --batch_size. Another '
      f'process may hold the memory: see nvidia-smi'
    ) from e
