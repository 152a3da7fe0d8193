"""A network of this project as a frozen backbone of another model.

  python -m examples.frozen_backbone

A head for dense prediction, such as segmentation, is trained on the maps of
strides 4 to 32. The backbone's BN uses its running averages, and no gradient
reaches it. Its weights can come from `resnet_jax.weights` or a checkpoint.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from resnet_jax import models


class Head(nn.Module):
  """Sums the maps of all stages into `classes`, at the size of the first."""

  classes: int

  @nn.compact
  def __call__(self, maps: dict[str, jax.Array]) -> jax.Array:
    stages = [x for name, x in maps.items() if name != 'conv1']
    shape = (*stages[0].shape[:3], self.classes)
    laterals = [nn.Conv(self.classes, (1, 1))(x) for x in stages]
    return sum(jax.image.resize(x, shape, 'bilinear') for x in laterals)


def main(
  network: str = 'resnet18', steps: int = 20
) -> tuple[list[float], bool]:
  """Fits random masks; returns the losses, and whether the backbone stayed."""
  key = jax.random.key(0)
  images = jax.random.normal(key, (2, 64, 64, 3))

  backbone = models.create(network, num_classes=1)
  frozen = backbone.init(key, images)
  before = jax.tree.map(jnp.copy, frozen)

  @jax.jit
  def features(images: jax.Array) -> dict[str, jax.Array]:
    # Without `train`, BN uses its running averages.
    return backbone.apply(frozen, images, method=backbone.features)

  head, maps = Head(classes=2), features(images)
  masks = jax.random.randint(key, maps['conv2_x'].shape[:3], 0, 2)
  params = head.init(key, maps)
  optimizer = optax.adam(1e-2)
  opt_state = optimizer.init(params)

  @jax.jit
  def step(params, opt_state, maps):  # noqa: ANN001, ANN202
    def loss_fn(params: dict) -> jax.Array:
      logits = head.apply(params, maps)
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, masks)
      return losses.mean()

    loss, grads = jax.value_and_grad(loss_fn)(params)
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(params, updates), opt_state, loss

  losses = []
  for _ in range(steps):
    params, opt_state, loss = step(params, opt_state, features(images))
    losses.append(float(loss))
  same = jax.tree.map(jnp.array_equal, before, frozen)
  return losses, all(map(bool, jax.tree.leaves(same)))


if __name__ == '__main__':
  history, stayed = main()
  print(
    f'loss {history[0]:.3f} -> {history[-1]:.3f}; backbone stayed: {stayed}'
  )
