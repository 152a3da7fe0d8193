"""Weights whose names wrap the network, and what lies beside them in a file."""

import numpy as np
import pytest

from resnet_jax import weights
from resnet_jax.errors import UserError
from resnet_jax.weights import names

ARRAYS = ('conv1.weight', 'layer1.0.conv1.weight', 'linear.weight')


def wrapped(*prefixes, arrays=ARRAYS):
  return {''.join(prefixes) + name: name for name in arrays}


@pytest.mark.parametrize(
  'arrays',
  [
    wrapped(),
    wrapped('module.'),
    wrapped('_orig_mod.'),
    wrapped('module.', '_orig_mod.'),
    wrapped('_orig_mod.', 'module.'),
    wrapped('model.'),
    wrapped('model.', 'backbone.'),
    wrapped('net.'),
    wrapped('encoder.'),
    wrapped('student.', 'module.', 'resnet.'),
    wrapped('_forward_module.', 'model.', '_orig_mod.'),
    wrapped('_fsdp_wrapped_module.'),
    {
      'conv1._orig_mod.weight': 'conv1.weight',
      'layer1._orig_mod.0.conv1.weight': 'layer1.0.conv1.weight',
      'linear.weight': 'linear.weight',
    },
    wrapped('module.') | {'n_averaged': 3},
    wrapped('module.', '_orig_mod.') | {'n_averaged': 3},
    wrapped('ema.', 'module.') | {'ema.n_averaged': 3},
  ],
)
def test_what_all_names_begin_with_is_cut_off(arrays):
  assert names.unwrap(arrays) == wrapped()


BODY = ('conv1.weight', 'bn1.bias', 'layer1.0.conv1.weight')
DEEP = (*BODY, 'layer4.0.conv1.weight')


@pytest.mark.parametrize('head', ['fc', 'head', 'head.fc', 'classifier.1'])
@pytest.mark.parametrize('body', ['backbone.', 'model.backbone.', 'encoder.'])
def test_a_backbone_and_the_last_layer_beside_it(body, head):
  arrays = wrapped(body, arrays=DEEP) | {f'{head}.weight': 1, f'{head}.bias': 2}
  expected = wrapped(arrays=DEEP) | {'fc.weight': 1, 'fc.bias': 2}
  assert names.unwrap(arrays) == expected
  # Within another module, and for a CIFAR net.
  arrays = wrapped('net.', body, arrays=BODY) | {f'net.{head}.weight': 1}
  assert names.unwrap(arrays) == wrapped(arrays=BODY) | {'linear.weight': 1}


@pytest.mark.parametrize(
  'arrays',
  [
    # Layers that may be of another size than the classes, or are two.
    wrapped('backbone.', arrays=DEEP) | {'projector.weight': 1},
    wrapped('backbone.', arrays=DEEP)
    | {'head.0.weight': 1, 'head.2.weight': 2},
    wrapped('backbone.', arrays=DEEP) | {'head.weight': 1, 'head.mean': 2},
    # A network that is whole without it.
    wrapped('backbone.', arrays=(*DEEP, 'fc.weight')) | {'head.weight': 1},
    wrapped('a.', arrays=DEEP) | wrapped('b.', arrays=DEEP) | {'fc.weight': 1},
    wrapped('student.') | wrapped('teacher.'),
    wrapped('model.') | {'criterion.weight': 0},
    wrapped() | {'n_averaged': 3},
    wrapped() | wrapped('_orig_mod.'),
    {'fc.weight': 0, 'fc.bias': 0},
  ],
)
def test_other_names_stay(arrays):
  assert names.unwrap(arrays) == arrays


def test_two_networks_in_a_file_are_named(cifar_arrays):
  arrays = {f'model.{k}': x for k, x in cifar_arrays.items()}
  arrays['criterion.weight'] = np.ones(10, np.float32)
  count = len(cifar_arrays)
  with pytest.raises(UserError) as error:
    weights.detect(names.unwrap(arrays))
  words = f'names begin with model ({count}), criterion (1). Save'
  assert words in str(error.value)


@pytest.mark.parametrize(
  'form',
  [
    lambda x: {'state_dict': {f'model.{k}': v for k, v in x.items()}},
    lambda x: {'model_state_dict': x, 'epoch': 3, 'loss': 0.5},
    lambda x: {'net': {f'module.{k}': v for k, v in x.items()}, 'acc': 92.1},
    lambda x: {'model': {'state_dict': x}, 'optimizer': {}},
    lambda x: {'model': x, 'model_ema': {k: v + 1 for k, v in x.items()}},
  ],
)
def test_checkpoints_of_frameworks(tmp_path, cifar_arrays, form):
  torch = pytest.importorskip('torch')
  tensors = {k: torch.tensor(x) for k, x in cifar_arrays.items()}
  torch.save(form(tensors), tmp_path / 'x.pth')
  arrays = weights.read(tmp_path / 'x.pth')
  assert arrays.keys() == cifar_arrays.keys()
  for name, x in cifar_arrays.items():
    np.testing.assert_array_equal(arrays[name], x)


def test_an_averaged_model_of_pytorch(tmp_path):
  torch = pytest.importorskip('torch')
  from tests.weights.reference import CifarNet, randomize

  net = randomize(CifarNet(1))
  averaged = torch.optim.swa_utils.AveragedModel(net)
  torch.save(averaged.state_dict(), tmp_path / 'x.pt')
  assert weights.read(tmp_path / 'x.pt').keys() == net.state_dict().keys()
