"""The views of pictures that tests look at."""

import numpy as np
import pytest

from resnet_jax.data.views import Views
from tests.data.streamed.pictures import CROP, VAL, reader

pytest.importorskip('tensorflow')


VIEWS = [
  Views('single', (19,), CROP),
  Views('ten_crop', (19,), CROP),
  Views('dense', (16, 22), CROP),
]


@pytest.mark.parametrize('views', VIEWS, ids=lambda v: v.name)
def test_tests_see_every_picture_once_a_scale_on_any_number_of_hosts(
  folder, views
):
  whole = list(reader(folder).parts(views, batch_size=4))
  ids = np.concatenate([part.ids for part in whole])
  times = len(views.shorter_sides)
  np.testing.assert_array_equal(
    np.sort(ids[ids >= 0]), np.repeat(range(VAL), times)
  )
  hosts = [
    list(reader(folder, host=host, hosts=2).parts(views, batch_size=4))
    for host in (0, 1)
  ]
  seen = []
  for parts in zip(*hosts, strict=True):
    # A network is compiled for each shape, on all hosts at once.
    assert parts[0].images.shape == parts[1].images.shape
    seen += [int(i) for part in parts for i in part.ids if i >= 0]
    for part in parts:
      alone = {int(i): k for k, i in enumerate(part.ids)}
      for other in whole:
        for k, i in enumerate(other.ids):
          if i in alone and part.images.shape[1:] == other.images.shape[1:]:
            mine = part.images[alone[int(i)]]
            np.testing.assert_array_equal(mine, other.images[k])
  assert sorted(seen) == sorted(ids[ids >= 0])
  # Scores add up on one host: no picture is another's at another scale.
  owned = [{int(i) for part in parts for i in part.ids} for parts in hosts]
  assert owned[0] & owned[1] <= {-1}


def test_views_are_cut_where_they_should_be(folder):
  """Compares with crops of the whole pictures that the dense test resizes."""
  side = 19
  dense = list(reader(folder).parts(Views('dense', (side,), CROP), 1))
  whole = {
    int(part.ids[0]): part.images[0, 0][: part.sizes[0, 0], : part.sizes[0, 1]]
    for part in dense
  }
  for part in reader(folder).parts(Views('ten_crop', (side,), CROP), 5):
    for index, crops in zip(part.ids, part.images, strict=True):
      picture = whole[int(index)]
      bottom, right = (n - CROP for n in picture.shape[:2])
      corners = [
        (0, 0),
        (0, right),
        (bottom, 0),
        (bottom, right),
        (bottom // 2, right // 2),
      ]
      for crop, (top, left) in zip(crops, corners, strict=True):
        expected = picture[top : top + CROP, left : left + CROP]
        np.testing.assert_array_equal(crop, expected)
  for part in reader(folder).parts(Views('single', (side,), CROP), 5):
    for index, (crop,) in zip(part.ids, part.images, strict=True):
      picture = whole[int(index)]
      top, left = ((n - CROP) // 2 for n in picture.shape[:2])
      expected = picture[top : top + CROP, left : left + CROP]
      # The window alone is decoded here: rounding may differ by a level.
      difference = np.abs(crop.astype(int) - expected)
      assert difference.max() <= 1
