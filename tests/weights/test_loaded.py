"""One call from a checkpoint or a file to a network that computes right."""

import numpy as np
import pytest

from resnet_jax import models, weights
from resnet_jax.weights import metadata
from tests.weights.reference import arrays_of, torch, torchvision_net

pytestmark = pytest.mark.usefixtures('quick_compilation')
IMAGES = np.random.default_rng(0).integers(0, 256, (1, 33, 41, 3), np.uint8)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
  net = torchvision_net('resnet50', num_classes=7)
  path = tmp_path_factory.mktemp('weights') / 'resnet50.safetensors'
  weights.write_safetensors(path, arrays_of(net))
  return path, net


def theirs(net):
  """torchvision's logits, with its own normalization."""
  mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
  pixels = ((IMAGES / 255 - mean) / std).astype(np.float32)
  with torch.no_grad():
    return net(torch.tensor(pixels).permute(0, 3, 1, 2)).numpy()


def test_logits_are_torchvisions(file, tmp_path):
  path, net = file
  weights.import_file(path, tmp_path / 'x')
  expected = theirs(net)
  for source in (path, tmp_path / 'x' / '0'):
    loaded = weights.load(str(source))
    assert (loaded.model.version, loaded.model.stem_pool) == ('v1.5', 'padded')
    assert loaded.class_names == list('0123456')
    assert loaded.image_shape == (224, 224, 3)
  np.testing.assert_allclose(loaded(IMAGES), expected, atol=1e-3)


def test_a_v1_network_stays_one(file, tmp_path):
  """The metadata are what the export writes."""
  path = tmp_path / 'x.safetensors'
  model = {'name': 'resnet50', 'shortcut': 'B', 'version': 'v1'}
  arrays = weights.read(file[0])
  noted = metadata.write(model, {}, None, antialias=True, arrays=arrays)
  weights.write_safetensors(path, arrays, noted)
  assert weights.load(path).model.version == 'v1'


def test_a_network_with_other_fields_is_warned_of(file, caplog):
  arrays = weights.read(file[0])
  kind = weights.detect(arrays)
  model = models.create('resnet50', num_classes=7, shortcut='B')
  weights.to_variables(arrays, model)
  assert '3x3 (v1.5): are the weights of such a network?' in caplog.text
  assert 'pools without padding' in caplog.text
  caplog.clear()
  model = models.create('resnet50', num_classes=7, **kind.overrides)
  weights.to_variables(arrays, model)
  weights.load(file[0])
  assert not caplog.text
