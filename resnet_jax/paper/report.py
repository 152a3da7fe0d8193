"""All tables and figures: each as a section of Markdown, or all as a report.

  text = section(targets.find('table6'), root, Scale(), root)
  write(root, folder)

Ours come from the records of runs alone.
"""

import pathlib
from collections.abc import Iterator, Sequence

from resnet_jax.console import console
from resnet_jax.errors import UserError
from resnet_jax.paper import curves, render, tables
from resnet_jax.paper.architecture import table1
from resnet_jax.paper.degradation import degradation
from resnet_jax.paper.drawing import fig3
from resnet_jax.paper.markdown import escape
from resnet_jax.paper.records import Record
from resnet_jax.paper.runs import Scale
from resnet_jax.paper.section import Section, select
from resnet_jax.paper.targets import TARGETS, Target, members_of
from resnet_jax.runs.workdir import make_workdir

_BUILDERS = {
  'table1': table1,
  'table2': tables.table2,
  'table3': tables.table3,
  'table4': tables.table4,
  'table5': tables.table5,
  'table6': tables.table6,
  'fig1': curves.fig1,
  'fig3': fig3,
  'fig4': curves.fig4,
  'fig6': curves.fig6,
  'fig7': curves.fig7,
  'degradation': degradation,
}
assert _BUILDERS.keys() == TARGETS.keys()

_TITLE = 'Deep Residual Learning for Image Recognition, reproduced'
_LEAD = (
  "The paper's tables and figures (He, Zhang, Ren, Sun, 2015) beside what "
  '`resnet_jax` gives. Ours are made from the records of runs, and nothing of '
  'them is typed in; a dash is what has not been run, or what the paper does '
  'not give.'
)


def section(
  target: Target, root: pathlib.Path, scale: Scale, folder: pathlib.Path
) -> str:
  """The Markdown of a table or figure: the paper's numbers beside ours.

  Args:
    target: The table or figure.
    root: Folder of the runs.
    scale: Which runs are shown; by default the full ones, or else the longest.
    folder: Folder that links to figures start from; they are in `figures`.

  Raises:
    UserError: `root` is no folder, the scale means nothing for the target, or a
      figure cannot be written.
  """
  return _written(_section(target, root, scale, folder))


def write(root: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes `report.html`, `report.md` and the figures of the Markdown.

  Args:
    root: Folder of the runs.
    folder: Folder to write to.

  Returns:
    The two files.

  Raises:
    UserError: `folder` cannot be written to.
  """
  make_workdir(folder, '--output')
  made, texts = [], []
  for number, target in enumerate(TARGETS.values(), 1):
    console.progress(f'{target.name}: {number} of {len(TARGETS)} ...')
    one = _section(target, root, Scale(), folder)
    made.append(one)
    texts.append(_written(one))
  console.clear()
  lead = '\n\n'.join([f'# {_TITLE}', _LEAD, '\n'.join(_facts(made))])
  contents = '\n'.join(
    f'- [{escape(one.title)}](#{render.anchor(one.title)})  \n'
    f'  {escape(one.label)}'
    for one in made
  )
  page, file = folder / 'report.html', folder / 'report.md'
  shown = render.page(_TITLE, lead, contents, texts, folder=folder)
  page.write_text(shown, encoding='utf-8')
  whole = '\n\n'.join([lead, contents, *texts])
  file.write_text(f'{whole}\n', encoding='utf-8')
  return [page, file]


def _section(
  target: Target, root: pathlib.Path, scale: Scale, folder: pathlib.Path
) -> Section:
  if root.exists() and not root.is_dir():
    raise UserError(f'--runs={root} is not a folder; name that of the runs')
  selected = tuple(
    select(root, member, scale) for member in members_of(target, scale)
  )
  return Section(target, root, scale, folder, selected)


def _written(one: Section) -> str:
  blocks = _BUILDERS[one.target.name](one)  # which may find problems
  head = [f'## {escape(one.title)}', f'**{escape(one.label)}**']
  return '\n\n'.join([*head, *blocks, *one.to_run()])


def _facts(sections: Sequence[Section]) -> Iterator[str]:
  """Hardware, versions and commits of all records, as items of a list."""
  records: dict[pathlib.Path, Record] = {
    record.folder: record
    for section in sections
    for one in section.selected
    for record in one.records
  }
  if not records:
    yield '- Records: none yet'
    return
  hours = sum(record.seconds for record in records.values()) / 3600
  environments = [record.environment for record in records.values()]
  facts = {
    'Records': [f'{len(records)} runs, {hours:,.1f} hours in all'],
    'Hardware': [
      f'{e["devices"]} x {e["device"]} ({e["cpus"]} CPU cores)'
      for e in environments
    ],
    'Versions': [
      f'{name} {e["packages"][name]}'
      for e in environments
      for name in ('jax', 'flax', 'optax')
      if e['packages'].get(name)
    ],
    'Commits': [str(e['commit']) for e in environments],
  }
  for name, values in facts.items():
    yield f'- {name}: {escape(", ".join(sorted(set(values))))}'
