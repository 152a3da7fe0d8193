"""All tables and figures as one page, and as Markdown, from records alone."""

import itertools
import pathlib
from collections.abc import Iterator

from resnet_jax.console import console
from resnet_jax.errors import UserError
from resnet_jax.paper import html, markdown
from resnet_jax.paper.document import Document, Section
from resnet_jax.paper.records import Record
from resnet_jax.paper.runs import Scale
from resnet_jax.paper.sections import build
from resnet_jax.paper.selection import select
from resnet_jax.paper.targets import TARGETS, runs_of

_TITLE = 'Deep Residual Learning for Image Recognition, reproduced'
_LEAD = (
  "The paper's tables and figures (He, Zhang, Ren, Sun, 2015) beside what "
  '`resnet_jax` gives. Ours is made from the records of runs, and nothing of '
  'it is typed in; a dash is what has not been run, or what the paper does not '
  'give.'
)


def write(root: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes `report.html`, `report.md` and the figures of the Markdown.

  Args:
    root: of the runs.
    folder: to write to.

  Returns:
    The two files.

  Raises:
    UserError: `folder` cannot be written to.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    document = Document(
      _TITLE,
      _LEAD,
      list(_sections(root, folder / 'figures')),
      _facts(root),
    )
    files = [folder / 'report.html', folder / 'report.md']
    files[0].write_text(html.render(document), encoding='utf-8')
    files[1].write_text(markdown.render(document, folder), encoding='utf-8')
  except OSError as e:
    raise UserError(
      f'--output {folder} cannot be written to: {e.strerror or e}; name '
      f'another folder'
    ) from e
  return files


def _sections(root: pathlib.Path, figures: pathlib.Path) -> Iterator[Section]:
  for number, target in enumerate(TARGETS.values(), 1):
    console.progress(f'{target.name}: {number} of {len(TARGETS)} ...')
    yield build(target, root, Scale(), figures)
  console.clear()


def _facts(root: pathlib.Path) -> list[tuple[str, str]]:
  """What all records have been made with."""
  records = _all(root)
  if not records:
    return [('Records', f'none in {root}')]
  seconds = sum(record.seconds for record in records)
  environments = [record.environment for record in records]
  hardware = {
    f'{e["devices"]} x {e["device"]} ({e["cpus"]} CPU cores)'
    for e in environments
  }
  packages = {
    f'{name} {version}'
    for e in environments
    for name, version in e['packages'].items()
    if name in ('jax', 'flax', 'optax') and version
  }
  return [
    (
      'Records',
      f'{len(records)} runs, {seconds / 3600:,.1f} hours in all',
    ),
    ('Hardware', '; '.join(sorted(hardware))),
    ('Versions', ', '.join(sorted(packages))),
    ('Commits', ', '.join(sorted({str(e['commit']) for e in environments}))),
  ]


def _all(root: pathlib.Path) -> list[Record]:
  """Of all targets, each once."""
  by_folder = {}
  for target in TARGETS.values():
    chosen = [
      select(root, member, Scale()).records
      for member, _ in runs_of(target, Scale())
    ]
    for record in itertools.chain.from_iterable(chosen):
      by_folder[record.folder] = record
  return list(by_folder.values())
