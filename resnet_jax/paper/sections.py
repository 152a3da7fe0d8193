"""Each table and figure as a section of a report: the paper's beside ours.

  section = build(targets.find('table6'), root, Scale(), figures_folder)

Ours comes from records alone.
"""

import pathlib

from resnet_jax.errors import UserError
from resnet_jax.paper.context import (
  Context,
)
from resnet_jax.paper.curves import fig1, fig4, fig6
from resnet_jax.paper.degradation_section import digits
from resnet_jax.paper.document import (
  Section,
)
from resnet_jax.paper.response_sections import fig7
from resnet_jax.paper.runs import Scale
from resnet_jax.paper.selection import select
from resnet_jax.paper.size_sections import fig3, table1
from resnet_jax.paper.tables import table2, table3, table4, table5, table6
from resnet_jax.paper.targets import TARGETS, Target, runs_of

_BUILDERS = {
  'table1': table1,
  'table2': table2,
  'table3': table3,
  'table4': table4,
  'table5': table5,
  'table6': table6,
  'fig1': fig1,
  'fig3': fig3,
  'fig4': fig4,
  'fig6': fig6,
  'fig7': fig7,
  'degradation': digits,
}
assert _BUILDERS.keys() == TARGETS.keys()


def build(
  target: Target, root: pathlib.Path, scale: Scale, figures: pathlib.Path
) -> Section:
  """The section of `target`.

  Args:
    target: the table or figure.
    root: the folder of the runs.
    scale: which of them; by default the full ones, or else the longest.
    figures: a folder that figures are drawn in.

  Raises:
    UserError: the scale means nothing for the target, or a figure cannot be
      written.
  """
  if root.exists() and not root.is_dir():
    raise UserError(f'--runs={root} is not a folder; name that of the runs')
  selected = tuple(
    select(root, member, scale) for member, _ in runs_of(target, scale)
  )
  context = Context(target, root, scale, figures, selected)
  computed = not target.members
  blocks = _BUILDERS[target.name](context)
  return Section(
    key=target.name,
    title=_title(target),
    blocks=blocks,
    label='computed from the modules' if computed else context.label,
  )


def _title(target: Target) -> str:
  name = target.name
  if name.startswith('table'):
    name = f'Table {name.removeprefix("table")}'
  elif name.startswith('fig'):
    name = f'Fig. {name.removeprefix("fig")}'
  else:
    name = name.capitalize()
  return f'{name}: {target.title}'
