"""A training step of your own on a network of this project, in plain JAX.

  python -m examples.own_train_step

It imports only `resnet_jax.models`, which needs nothing but JAX and Flax.
"""

import jax
import jax.numpy as jnp
import optax

from resnet_jax import models


def main(steps: int = 30) -> list[float]:
  """Fits 32 random images; returns the losses, which fall."""
  images_key, labels_key, init_key = jax.random.split(jax.random.key(0), 3)
  images = jax.random.normal(images_key, (32, 32, 32, 3))
  labels = jax.random.randint(labels_key, (32,), 0, 10)

  # 0 normalizes over the whole batch. The paper's groups are 64 for CIFAR-10.
  model = models.create('cifar_resnet8', bn_group_size=0)
  variables = jax.jit(model.init)(init_key, images)
  params, batch_stats = variables['params'], variables['batch_stats']
  optimizer = optax.sgd(0.1, momentum=0.9)
  opt_state = optimizer.init(params)

  @jax.jit
  def step(params, batch_stats, opt_state):  # noqa: ANN001, ANN202
    def loss_fn(params: dict) -> tuple[jax.Array, dict]:
      logits, updates = model.apply(
        {'params': params, 'batch_stats': batch_stats},
        images,
        train=True,
        mutable=['batch_stats'],
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return jnp.mean(losses), updates['batch_stats']

    (loss, new_stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(params, updates), new_stats, opt_state, loss

  losses = []
  for _ in range(steps):
    params, batch_stats, opt_state, loss = step(params, batch_stats, opt_state)
    losses.append(float(loss))
  return losses


if __name__ == '__main__':
  history = main()
  print(f'loss {history[0]:.3f} -> {history[-1]:.3f}')
