"""The trained weights of docs/weights, and files in place of checkpoints."""

import numpy as np
import pytest

from configs import cifar_resnet20
from resnet_jax import eval_only, weights
from resnet_jax.errors import UserError
from resnet_jax.runs import restore
from tests import command
from tests.data.streamed.pictures import real_data

FILE = command.ROOT / 'docs' / 'weights' / 'cifar_resnet20.safetensors'
# The card and docs/results.md say so.
WRONG = 791
CIFAR10 = real_data('cifar10.npz')


def test_the_file_says_what_its_weights_do_not_show():
  found = weights.read_checkpoint(FILE)
  restored = restore.restore(found)
  assert found.meta['config']['model']['name'] == 'cifar_resnet20'
  assert found.meta['class_names'][0] == 'airplane'
  assert restored.normalization.mean.shape == (32, 32, 3)
  # CIFAR-10's mean colour, known from elsewhere.
  np.testing.assert_allclose(
    restored.normalization.mean.mean((0, 1)), [125.3, 123.0, 113.9], atol=0.1
  )
  np.testing.assert_array_equal(restored.normalization.std, 1)


def test_the_mean_image_goes_out_and_in(tmp_path):
  file = tmp_path / 'again.safetensors'
  weights.export_checkpoint(FILE, file)
  before, after = (weights.read_checkpoint(f) for f in (FILE, file))
  assert after.arrays.keys() == before.arrays.keys()
  for name, x in before.arrays.items():
    np.testing.assert_array_equal(after.arrays[name], x)
  names = [f'class {i}' for i in range(10)]
  weights.export_checkpoint(FILE, file, class_names=names)
  assert weights.read_checkpoint(file).meta['class_names'] == names
  with pytest.raises(UserError, match='there are 9 class names'):
    weights.export_checkpoint(FILE, file, class_names=names[1:])


def test_pytorch_computes_the_same():
  torch = pytest.importorskip('torch')
  from tests.weights.reference import CifarNet

  net = CifarNet(3).double().eval()
  arrays = weights.read(FILE)
  net.load_state_dict({k: torch.from_numpy(x) for k, x in arrays.items()})
  restored = restore.restore(weights.read_checkpoint(FILE))
  shape = (4, 32, 32, 3)
  images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  pixels = images.astype(np.float64) - restored.normalization.mean
  with torch.no_grad():
    theirs = net(torch.from_numpy(pixels.transpose(0, 3, 1, 2))).numpy()
  ours = restored.model.apply(restored.net, restored.normalization(images))
  np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_file_that_is_not_there(tmp_path):
  with pytest.raises(UserError, match='does not exist; name a file of weights'):
    weights.read_checkpoint(tmp_path / 'none.safetensors')


@pytest.mark.skipif(
  CIFAR10 is None, reason='RESNET_JAX_TEST_DATA has no cifar10.npz'
)
def test_wrong_answers():
  config = cifar_resnet20.get_config()
  config.dataset.npz = str(CIFAR10)
  ((_, result),) = eval_only.evaluate_saved(config, paths=[FILE])
  counts = result['test'].to_json()
  assert (counts['examples'], counts['wrong']) == (10_000, WRONG)
