"""The paper's numbers and those of others, beside ours."""

import json

import pytest

from resnet_jax.paper import architecture, published, targets
from resnet_jax.paper.architecture import summary
from resnet_jax.paper.runs import Member, Scale, expand
from resnet_jax.paper.section import Section
from tests.paper.recorded import MISSING, cells_of, row_of, shown, write_record

IMAGENET = {'train': 1_281_167, 'validation': 50_000}


@pytest.mark.parametrize(
  'name',
  [
    *('ResNet-18', 'ResNet-34', 'ResNet-50', 'ResNet-101'),
    pytest.param('ResNet-152', marks=pytest.mark.long),
  ],
)
def test_columns_of_table_1_are_the_modules(name):
  net = summary(name.replace('-', '').lower())
  assert [stage.text for stage in net.stages] == published.STAGES[name]
  # The paper cuts ResNet-50's 3.858 off to 3.8 and rounds others.
  flops = published.FLOPS[name]
  assert flops - 0.05 < net.macs / 1e9 < flops + 0.1


def test_table_1_says_where_the_paper_s_is_another(tmp_path, monkeypatch):
  column = published.STAGES['ResNet-18']
  target = targets.find('table1')
  section = Section(target, tmp_path, Scale(), tmp_path, ())
  monkeypatch.setattr(architecture, '_IMAGENET', architecture._IMAGENET[:1])
  monkeypatch.setattr(architecture, '_CIFAR', architecture._CIFAR[:1])
  monkeypatch.setattr(published, 'STAGES', {'ResNet-18': column})
  blocks = architecture.table1(section)
  assert "The paper's Table 1 has the same cells." in blocks
  wrong = [*column[:-1], 'average pool; 10-d fc']
  monkeypatch.setattr(published, 'STAGES', {'ResNet-18': wrong})
  blocks = architecture.table1(section)
  assert (
    "The paper's Table 1 has other cells: fc of ResNet-18 is average pool; "
    '10-d fc.'
  ) in blocks


@pytest.mark.parametrize(
  ('name', 'numbers'),
  [
    ('table2', published.TABLE2),
    ('table3', published.TABLE3),
    ('table4', published.TABLE4),
    ('table5', published.TABLE5),
    ('table6', published.TABLE6),
    ('fig4', published.FIGURE4),
    ('fig6', published.FIGURE6),
  ],
)
def test_every_row_of_the_paper_is_shown(tmp_path, name, numbers):
  text = shown(name, tmp_path)
  for method, row in numbers.items():
    cells = ' '.join(cells_of(text, method)).replace('\\', '')
    for field in ('top1', 'top5', 'error', 'parameters', 'mean', 'std'):
      value = getattr(row, field, None)
      assert value is None or f'{value:.2f}' in cells
    for field in ('test', 'training'):
      value = getattr(row, field, None)
      assert value is None or str(value) in cells


def test_networks_of_ours_are_found_by_the_paper_s_names(tmp_path):
  """A network on other data has the same name."""
  for member in targets.find('table3').members:
    (run,) = expand(member, Scale())
    write_record(tmp_path, run, error=0.25, examples=IMAGENET)
  text = shown('table3', tmp_path)
  for name in ('plain-34', 'ResNet-34 A', 'ResNet-34 C', 'ResNet-152'):
    assert cells_of(text, name)[-1] == 'not run', 'ten crops are missing'
  assert cells_of(text, 'PReLU-net')[-1] == ''


def test_errors_of_one_crop_are_beside_those_of_others(tmp_path):
  (run,) = expand(Member('imagenet_resnet50'), Scale())
  write_record(tmp_path, run, error=0.25, examples=IMAGENET)
  for name in ('table3', 'table4'):
    text = shown(name, tmp_path)
    _, one_crop = text.split('of one crop')[:2]
    # The section is not run, since only training has come to its end.
    assert '**not run**' in text
    assert one_crop.startswith('** \\[in full; 1 of ')
    assert cells_of(one_crop, 'ResNet-50') == [
      *('ResNet-50', '24.7', '23.3\N{EN DASH}24.0', '25.00', '7.8', '5.00'),
      'in full, 1 seed',
    ]
    assert cells_of(one_crop, 'ResNet-34 B')[1:4] == [
      MISSING,
      '26.2\N{EN DASH}26.7',
      MISSING,
    ]


def test_ten_crops_are_beside_the_paper_s(tmp_path):
  (run,) = expand(Member('imagenet_resnet34'), Scale())
  folder = write_record(tmp_path, run, error=0.3, examples=IMAGENET)
  config = run.configuration()
  config.test.views = 'ten_crop'
  result = {'examples': 50_000, 'error': 0.2503, 'error_top5': 0.078}
  content = {
    'config': json.loads(config.to_json()),
    'results': {'x': {'validation': result}},
  }
  (folder / 'results-ten_crop.json').write_text(json.dumps(content))
  assert cells_of(shown('table3', tmp_path), 'ResNet-34 A') == [
    *('ResNet-34 A', '25.03', '25.03', '0.00', '7.76', '7.80', '+0.04'),
    'in full, 1 seed',
  ]


def test_reproductions_are_beside_ours(tmp_path):
  text = shown('table6', tmp_path)
  assert row_of(text, 'ResNet-1202')['others'] == '6.2\N{EN DASH}7.9'
  assert 'ResNet-1202: some do not converge' in text
  row = row_of(shown('fig6', tmp_path), 'plain-56')
  assert row['others'] == '12.8\N{EN DASH}14.2'
