"""Reads the text of a compiled XLA program.

program = hlo.parse(compiled.as_text())
for instruction in program.computations[program.entry].values():
  print(instruction.opcode, instruction.bytes)
"""

import dataclasses
import math
import re

_BITS = {'pred': 8, 'c64': 64, 'c128': 128, 'token': 0, 'opaque': 0}


@dataclasses.dataclass(frozen=True)
class Array:
  """The type of an array, such as f32 [128, 32, 32, 16]."""

  dtype: str
  shape: tuple[int, ...]

  @property
  def size(self) -> int:
    return math.prod(self.shape)

  @property
  def bytes(self) -> int:
    bits = _BITS.get(self.dtype)
    if bits is None:  # s32, bf16, f8e4m3fn, ...
      bits = int(re.findall(r'\d+', self.dtype)[0])
    return -(-self.size * bits // 8)


@dataclasses.dataclass(frozen=True)
class Instruction:
  """A line of a computation.

  Attributes:
    name: Its name, unique in the program.
    opcode: The operation.
    results: The type of its result; several where that is a tuple.
    operands: Names of its operands.
    number: Which parameter it is, -1 for anything else.
    attributes: The rest of the line.
    root: Whether its result is that of the computation.
  """

  name: str
  opcode: str
  results: tuple[Array, ...]
  operands: tuple[str, ...]
  number: int
  attributes: str
  root: bool

  @property
  def bytes(self) -> int:
    """Bytes of its result."""
    return sum(array.bytes for array in self.results)

  @property
  def op_name(self) -> str:
    """The place in the traced program that it came from, '' if unknown."""
    return self.attribute('op_name')

  def attribute(self, name: str) -> str:
    """The text of one attribute, '' where it is not given."""
    match = re.search(
      rf'\b{name}=(?:"([^"]*)"|\{{(.*?)\}}(?:,\s|$)|%?([^\s,]+))',
      self.attributes,
    )
    return next((g for g in match.groups() if g), '') if match else ''

  def names(self, attribute: str) -> list[str]:
    """The computations that an attribute names."""
    return re.findall(r'[\w.\-]+', self.attribute(attribute))


# Instructions by name, in the order in which they run.
Computation = dict[str, Instruction]


@dataclasses.dataclass(frozen=True)
class Program:
  """A program's computations by name, and the name of the first to run."""

  computations: dict[str, Computation]
  entry: str


def parse(text: str) -> Program:
  """The program whose text is `text`.

  Raises:
    ValueError: it is not the text of a whole program.
  """
  computations: dict[str, Computation] = {}
  current: Computation = {}
  entry = ''
  for line in text.splitlines():
    head = re.match(r'(ENTRY )?%?([\w.\-]+) \(.*\{$', line)
    if head:
      current = computations[head.group(2)] = {}
      entry = head.group(2) if head.group(1) else entry
    elif match := re.match(r'\s+(ROOT )?%?([\w.\-]+) = (.*)', line):
      root, name, rest = match.groups()
      current[name] = _instruction(name, rest, root=bool(root))
  if not entry:
    raise ValueError('there is no entry computation in this text')
  return Program(computations, entry)


def _instruction(name: str, text: str, *, root: bool) -> Instruction:
  """The instruction `text`: type, opcode(operands), attributes."""
  end = _closing(text) if text.startswith('(') else text.index(' ')
  types, call = text[:end], text[end:].strip()
  opening = call.index('(')
  closing = opening + _closing(call[opening:])
  opcode, inside = call[:opening], call[opening + 1 : closing - 1]
  arrays = re.findall(r'\b([a-z]\w*)\[([\d,]*)\]', types)
  return Instruction(
    name=name,
    opcode=opcode,
    results=tuple(
      Array(dtype, tuple(int(n) for n in shape.split(',') if n))
      for dtype, shape in arrays
    ),
    operands=tuple(re.findall(r'%([\w.\-]+)', inside)),
    number=int(inside) if opcode == 'parameter' else -1,
    attributes=call[closing:],
    root=root,
  )


def _closing(text: str) -> int:
  """The place behind the parenthesis that closes the one at the start."""
  depth = 0
  for place, character in enumerate(text, 1):
    depth += (character == '(') - (character == ')')
    if depth == 0:
      return place
  return len(text)
