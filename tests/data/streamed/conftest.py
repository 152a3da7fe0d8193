"""A folder of pictures that the tests read and leave as it is."""

import pytest

from tests.data.streamed.pictures import write_folder


@pytest.fixture(scope='session')
def folder(tmp_path_factory):
  return write_folder(tmp_path_factory.mktemp('pictures'))
