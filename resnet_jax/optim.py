"""SGD with momentum in the authors' order (Sec. 3.4), built on Optax.

  v = momentum * v + learning_rate * (gradient + weight_decay * w)
  w = w - v

The learning rate goes into the trace v, whereas `optax.sgd` multiplies by it
afterwards: the two differ once the learning rate drops.
"""

from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import optax


def create(
  *,
  momentum: float,
  weight_decay: float,
  nesterov: bool = False,
  frozen: Callable[[tuple[str, ...]], bool] | None = None,
) -> optax.GradientTransformationExtraArgs:
  """The update rule; its `update` takes the `learning_rate=` of the step.

  Args:
    momentum: Share of the last update that is repeated.
    weight_decay: Factor of the weights that are added to their gradients.
    nesterov: Whether to look ahead; the paper does not.
    frozen: Tells whether the parameter of a path stays as it is; None trains
      all.
  """
  hold_frozen = optax.identity()
  if frozen is not None:
    hold_frozen = optax.masked(
      optax.set_to_zero(),
      lambda tree: _by_path(tree, frozen),
    )
  return optax.chain(
    optax.add_decayed_weights(weight_decay, mask=decay_mask),
    hold_frozen,  # after the decay, which would move them
    _scale_by_learning_rate(),
    optax.trace(momentum, nesterov=nesterov),
  )


def decay_mask(params: Any) -> Any:
  """True for the weights of convolutions and fc.

  The authors do not decay biases, and scales and offsets of BN.
  """
  return _by_path(params, lambda path: path[-1] == 'kernel')


def _by_path(tree: Any, which: Callable[[tuple[str, ...]], bool]) -> Any:
  flat = flax.traverse_util.flatten_dict(tree)
  return flax.traverse_util.unflatten_dict({p: which(p) for p in flat})


def _scale_by_learning_rate() -> optax.GradientTransformationExtraArgs:
  def update(
    updates: Any, state: Any, params: Any = None, *, learning_rate: jax.Array
  ) -> tuple[Any, Any]:
    del params
    return jax.tree.map(lambda g: -learning_rate * g, updates), state

  return optax.GradientTransformationExtraArgs(
    lambda params: optax.EmptyState(), update
  )
