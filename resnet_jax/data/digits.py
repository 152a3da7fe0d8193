"""`digits` for TFDS: the 1,797 handwritten digits that scikit-learn ships.

Real images, 8x8 and grey, 10 classes; they need no network, so that the first
command of a newcomer works anywhere. Source: E. Alpaydin and C. Kaynak,
Optical Recognition of Handwritten Digits, UCI, 1998.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

TEST_EXAMPLES = 297


class Digits(tfds.core.GeneratorBasedBuilder):
  """1,500 training and 297 test images, in a split that never changes."""

  VERSION = tfds.core.Version('1.0.0')

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      description=__doc__,
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(shape=(8, 8, 1)),
          'label': tfds.features.ClassLabel(num_classes=10),
        }
      ),
      supervised_keys=('image', 'label'),
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
    del dl_manager  # nothing to download
    # One writer's images stand together: a split in their order would test on
    # other hands than it trains on.
    order = np.random.default_rng(0).permutation(1797)
    return {
      'train': self._generate_examples(order[:-TEST_EXAMPLES]),
      'test': self._generate_examples(order[-TEST_EXAMPLES:]),
    }

  def _generate_examples(self, indices: np.ndarray) -> Iterator:
    from sklearn import datasets

    digits = datasets.load_digits()
    # Grey levels are 0 to 16; times 255 / 16 they remain 17 different ones.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    for key, index in enumerate(indices):
      label = int(digits.target[index])
      yield key, {'image': images[index][..., None], 'label': label}
