"""The examples do what they say."""

import ast
import subprocess
import sys

import pytest

from examples import frozen_backbone, own_train_step
from tests import command

pytestmark = pytest.mark.usefixtures('quick_compilation')


def test_a_training_step_of_ones_own_learns():
  losses = own_train_step.main(steps=30)
  assert losses[-1] < 0.5 * losses[0]


def test_a_frozen_backbone_stays_while_its_head_learns():
  losses, stayed = frozen_backbone.main('cifar_resnet8', steps=20)
  assert losses[-1] < losses[0]
  assert stayed


def test_the_training_step_is_forty_lines_and_needs_no_tensorflow():
  file = command.ROOT / 'examples' / 'own_train_step.py'
  tree = ast.parse(file.read_text())
  (main,) = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
  assert main.end_lineno - main.lineno < 40
  code = (
    'import sys; import examples.own_train_step; '
    'assert not {"tensorflow", "clu", "orbax"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], cwd=command.ROOT, check=True)
