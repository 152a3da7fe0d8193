"""The peer in PyTorch is the same network as ours."""

import importlib.util

import jax
import numpy as np
import pytest

from benchmarks.cases import Case
from benchmarks.rounds import Unavailable
from resnet_jax import models, weights

torch = pytest.importorskip('torch')
from benchmarks.torch_cifar import CifarNet  # noqa: E402


def test_parameters_of_the_papers_networks():
  for name, n, shortcut in [
    ('cifar_resnet20', 3, 'A'),
    ('cifar_plain20', 3, None),
    ('cifar_resnet56', 9, 'A'),
  ]:
    net = CifarNet(n, shortcut=shortcut)
    count = sum(p.numel() for p in net.parameters())
    assert count == _count(name, 32), name


@pytest.mark.parametrize('shortcut', ['A', 'B'])
def test_our_exported_weights_give_our_logits(shortcut):
  model = models.create('cifar_resnet8', shortcut=shortcut)
  images = np.random.default_rng(0).normal(size=(4, 32, 32, 3))
  images = images.astype(np.float32)
  variables = model.init(jax.random.key(1), images)
  generator = np.random.default_rng(2)
  variables = jax.tree.map(  # so that BN is not the identity
    lambda x: np.asarray(x + generator.uniform(0, 0.2, x.shape), np.float32),
    variables,
  )
  net = CifarNet(1, shortcut=shortcut)
  arrays = weights.from_variables(variables, model)
  net.load_state_dict(
    {k: torch.from_numpy(x.copy()) for k, x in arrays.items()}
  )
  ours = np.asarray(model.apply(variables, images))
  with torch.inference_mode():
    theirs = net.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2)))
  np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(
  importlib.util.find_spec('torchvision') is None, reason='no torchvision'
)
@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_torchvisions_networks_become_the_papers(name):
  from benchmarks import peers

  net = peers.network(Case(f'imagenet_{name}', 1, 'float32', ''))
  count = sum(p.numel() for p in net.parameters())
  assert count == _count(name, 224)
  if name == 'resnet50':  # the paper's stride, and not v1.5
    block = net.layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))


def test_a_plain_net_of_imagenet_has_no_peer():
  from benchmarks import peers

  with pytest.raises(Unavailable, match='no peer'):
    peers.network(Case('imagenet_plain18', 1, 'float32', ''))


def _count(name, side):
  model, images = models.create(name), np.zeros((1, side, side, 3))
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  return models.count_params(shapes)
