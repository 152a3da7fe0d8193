"""The views that a config asks for."""

from configs import imagenet
from resnet_jax.config.plan import views_of
from resnet_jax.data.views import Views


def test_the_views_of_a_config_are_those_of_the_paper():
  config = imagenet.get_config()
  expected = {
    'single': (256,),
    'ten_crop': (256,),
    'dense': (224, 256, 384, 480, 640),
  }
  for name, sides in expected.items():
    config.test.views = name
    assert views_of(config) == Views(name, sides, 224)
