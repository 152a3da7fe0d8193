"""Gradients of a share in parts, one after the other, to save memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# (params, *examples) -> gradients, (losses, wrong, batch_stats): the gradients
# and BN statistics are means over the examples, the rest is [examples].
GradientFn = Callable[..., tuple[Any, tuple[jax.Array, jax.Array, Any]]]


def in_parts(
  gradient_fn: GradientFn, parts: int, *, on_cpu: bool
) -> GradientFn:
  """`gradient_fn` over so many equal parts of the examples in turn.

  Gradients and BN statistics are averaged over the parts; losses and errors
  are put together again. The result is that of one part as long as no BN group
  spans two.

  Args:
    gradient_fn: Gradients of all the examples that it is given.
    parts: Number of parts, which divides that of the examples.
    on_cpu: Whether the step is compiled for a CPU.
  """
  if parts == 1:
    return gradient_fn

  def in_turn(
    params: Any, *examples: jax.Array | None
  ) -> tuple[Any, tuple[jax.Array, jax.Array, Any]]:
    def part(total: Any, batch: tuple[jax.Array | None, ...]) -> Any:
      gradients, (losses, wrong, batch_stats) = gradient_fn(params, *batch)
      total = jax.tree.map(jnp.add, total, (gradients, batch_stats))
      return total, (losses, wrong)

    batches = jax.tree.map(
      lambda x: x.reshape(parts, -1, *x.shape[1:]), examples
    )
    first = jax.tree.map(lambda x: x[0], batches)
    shapes = jax.eval_shape(gradient_fn, params, *first)
    gradients, (_, _, batch_stats) = shapes
    zeros = jax.tree.map(
      lambda x: jnp.zeros(x.shape, x.dtype), (gradients, batch_stats)
    )
    total, per_example = jax.lax.scan(
      part,
      zeros,
      batches,
      # XLA's convolutions are 10 to 24 times slower in a loop on a CPU.
      unroll=parts if on_cpu else 1,
    )
    gradients, batch_stats = jax.tree.map(lambda x: x / parts, total)
    losses, wrong = jax.tree.map(lambda x: x.reshape(-1), per_example)
    return gradients, (losses, wrong, batch_stats)

  return in_turn
