"""Names, numbers, tables and commands in Markdown."""

import re
import shlex

import pytest
from markdown_it import MarkdownIt

from resnet_jax.paper.markdown import (
  MISSING,
  command,
  difference,
  escape,
  mean_std,
  number,
  strong,
  table,
)

HOSTILE = '<script>alert("a")</script> a|b *c* _d_ e_f & [g](http://h.org) ![i]'


def html(text):
  return MarkdownIt('commonmark', {'html': False}).enable('table').render(text)


@pytest.mark.parametrize(
  'text',
  [
    HOSTILE,
    *('# 5', '1. 5', '1) 5', '- 5', '+ 5', '= 5', '---', '> 5', '    code'),
    *('a & b &amp; c', '`code`', '``', '~~~', '$x$', '\\*a\\*', 'a\nb', '<b>'),
    *('__init__', 'cifar_resnet20', '_a b_', 'http://a.org/_b_'),
  ],
)
def test_what_is_escaped_is_shown_literally(text):
  paragraph = html(escape(text))
  assert paragraph.startswith('<p>') and paragraph.endswith('</p>\n')
  assert '<' not in paragraph[3:-5]
  shown = paragraph[3:-5]
  for code, letter in (('lt', '<'), ('gt', '>'), ('quot', '"'), ('amp', '&')):
    shown = shown.replace(f'&{code};', letter)
  assert shown == ' '.join(text.split())


def test_what_commands_a_terminal_or_has_no_bytes_is_a_question_mark():
  assert escape('a\x1b[2Jb\udcffc\N{NO-BREAK SPACE}é') == 'a?\\[2Jb?c é'


def test_names_stay_readable():
  assert escape('cifar_resnet20, 60 of 300 steps') == (
    'cifar_resnet20, 60 of 300 steps'
  )


def test_a_table_is_aligned_in_its_source():
  text = table(
    ['network', '>ours'], [['ResNet-20', '**9.07**'], [escape('a|b'), '']]
  )
  lines = text.splitlines()
  assert len({len(line) for line in lines}) == 1
  assert re.fullmatch(r'\| -+ \| -+: \|', lines[1])
  page = html(text)
  assert '<td style="text-align:right"><strong>9.07</strong></td>' in page
  assert '<td>a|b</td>' in page


def test_a_long_command_stays_the_same_command():
  words = ['python', '-m', 'a "b"  c', '``````', '$x', *['--b=(256, 480)'] * 9]
  text = command(words)
  assert max(map(len, text.splitlines())) <= 78
  (code,) = re.findall(
    r'<code class="language-bash">(.*)</code>', html(text), re.DOTALL
  )
  code = code.replace('&quot;', '"')
  assert len(code.splitlines()) == 3
  assert shlex.split(code.replace('\\\n', '')) == words


@pytest.mark.parametrize(
  ('ours', 'paper', 'expected'),
  [
    (9.07, 8.75, '+0.32'),
    (8.65, 8.75, '\N{MINUS SIGN}0.10'),
    (8.75, 8.75, '0.00'),
    (8.754, 8.75, '0.00'),
    (8.756, 8.75, '+0.01'),
    (None, 8.75, MISSING),
    (8.75, None, MISSING),
  ],
)
def test_difference(ours, paper, expected):
  assert difference(ours, paper) == expected


def test_mean_std():
  # By hand: mean 6.61, squares 0.0256 * 2 over n - 1 = 2.
  assert mean_std([6.45, 6.61, 6.77]) == '6.61 ± 0.16'
  assert mean_std([6.61]) == '6.61'
  assert mean_std([]) == MISSING


def test_number():
  assert number(7.4) == '7.40'
  assert number(11.282, 1) == '11.3'
  assert number(None) == MISSING
  assert (strong('8.75'), strong(MISSING)) == ('**8.75**', MISSING)
