"""The files that README and docs speak of exist."""

import re

import pytest

from tests import command

DOCUMENTS = sorted(
  [*command.ROOT.glob('*.md'), *command.ROOT.glob('docs/*.md')]
)
# In backquotes or as the target of a link.
FILE = re.compile(
  r'(?:`|\]\()([\w./-]+\.(?:md|py|sh|txt|json|cff|png))(?:`|\))'
)
ROOTS = [command.ROOT, command.ROOT / 'docs', command.ROOT / 'resnet_jax']
# Files that a run leaves in its folder.
LEFT = {
  'config.json',
  'curves.png',
  'environment.json',
  'results.json',
  'sessions.json',
}


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document):
  names = set(FILE.findall(document.read_text())) - LEFT
  missing = {n for n in names if not any((r / n).exists() for r in ROOTS)}
  assert not missing
