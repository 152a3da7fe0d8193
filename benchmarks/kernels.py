"""The kernels of a compiled program, their bytes and their arithmetic.

A kernel is an instruction that puts work on the device: a fusion, a call of
cuDNN or cuBLAS (which may launch several kernels of its own, and counts as
one), a copy, a collective, and whatever else computes. Bitcasts, tuples and
their elements, parameters and constants are none; the start and the end of an
operation are one. Those in the body of a loop count as often as it runs, and
of the branches of a conditional those of the one that moves most bytes.

The bytes of a kernel are those of its operands and its results, each counted
once: nothing stays in a cache between two kernels. Where it only gathers or
slices from an operand, what it takes counts, and where it updates a part of an
array in place, that part.

FLOPs are those of convolutions and matrix products alone, two for a
multiply-add, and those on padding are counted.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

from benchmarks.hlo import Computation, Instruction, Program

_COLLECTIVES = (
  'all-gather',
  'all-reduce',
  'all-to-all',
  'collective',
  'ragged-all-to-all',
  'reduce-scatter',
)
_FREE = {
  'add-dependency',
  'after-all',
  'bitcast',
  'constant',
  'get-tuple-element',
  'opt-barrier',
  'parameter',
  'tuple',
}


@dataclasses.dataclass(frozen=True)
class Kernel:
  """A kernel of a program.

  Attributes:
    instruction: The instruction that launches it.
    kind: 'product' (convolutions, too), 'reduction', 'copy' (transposes, too),
      'collective' or 'element-wise'.
    times: How often it runs.
    bytes: Bytes that it reads and writes each time.
    flops: FLOPs of each time.
    dtype: Type of the operands of its products, '' where there are none.
    exact: Whether float32 operands are multiplied in full, and not as TF32.
  """

  instruction: Instruction
  kind: str
  times: int
  bytes: int
  flops: int = 0
  dtype: str = ''
  exact: bool = False


def kernels(program: Program) -> list[Kernel]:
  """Every kernel of the program."""
  return list(_kernels(program, program.entry, 1))


def awaited(program: Program) -> set[str]:
  """Names of the instructions that a product waits for, or the next round.

  Collectives among them are in the way of the passes through the network: BN's
  have to be, those of gradients and metrics need not.
  """
  found: set[str] = set()
  for name, computation in program.computations.items():
    left = [
      i
      for i in computation.values()
      if (i.root and name != program.entry)
      or any(_is_product(p) for p, _ in _with_fused(program, computation, i))
    ]
    while left:
      for operand in left.pop().operands:
        if operand not in found:
          found.add(operand)
          left.append(computation[operand])
  return found


def _kernels(program: Program, name: str, times: int) -> Iterator[Kernel]:
  computation = program.computations[name]
  for instruction in computation.values():
    opcode, names = instruction.opcode, instruction.names
    if opcode in _FREE or opcode.endswith(('-done', '-update')):
      continue
    if opcode == 'while':
      trips = _trips(instruction)
      (condition,), (body,) = names('condition'), names('body')
      yield from _kernels(program, condition, times * (trips + 1))
      yield from _kernels(program, body, times * trips)
    elif opcode == 'conditional':
      branches = names('branch_computations')
      branches += names('true_computation') + names('false_computation')
      yield from max(
        (list(_kernels(program, branch, times)) for branch in branches),
        key=lambda found: sum(k.times * k.bytes for k in found),
      )
    elif opcode in ('call', 'async-start'):
      (called,) = names('to_apply') + names('calls')
      yield from _kernels(program, called, times)
    else:
      yield _kernel(program, computation, instruction, times)


def _kernel(
  program: Program,
  computation: Computation,
  instruction: Instruction,
  times: int,
) -> Kernel:
  fused = {}
  if instruction.opcode == 'fusion':
    fused = program.computations[instruction.names('calls')[0]]
  opcodes = {i.opcode for i in fused.values()} | {instruction.opcode}
  products = [
    (found, inner)
    for found, inner in _with_fused(program, computation, instruction)
    if _is_product(found)
  ]
  kind = 'element-wise'
  if instruction.opcode.startswith(_COLLECTIVES):
    kind = 'collective'
  elif products:
    kind = 'product'
  elif 'reduce' in opcodes:
    kind = 'reduction'
  elif opcodes <= _FREE | {'copy', 'copy-start', 'fusion', 'transpose'}:
    kind = 'copy'
  kernel = Kernel(
    instruction, kind, times, _bytes(computation, instruction, fused)
  )
  if not products:
    return kernel
  product, inner = products[0]
  return dataclasses.replace(
    kernel,
    flops=sum(_flops(p, inside) for p, inside in products),
    dtype=inner[product.operands[0]].results[0].dtype,
    exact='highest' in product.attributes.lower(),
  )


def _trips(loop: Instruction) -> int:
  """How often a loop runs; once where that is not known."""
  known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
  return int(known.group(1)) if known else 1


def _with_fused(
  program: Program, computation: Computation, instruction: Instruction
) -> Iterator[tuple[Instruction, Computation]]:
  """An instruction, and those fused in it, each with what it stands in."""
  if instruction.opcode != 'fusion':
    yield instruction, computation
    return
  fused = program.computations[instruction.names('calls')[0]]
  for inner in fused.values():
    yield from _with_fused(program, fused, inner)


def _bytes(
  computation: Computation, instruction: Instruction, fused: Computation
) -> int:
  """Bytes that a kernel reads and writes."""
  if not fused:
    read = {
      name: _read(computation[name], {instruction.name: instruction})
      for name in instruction.operands
    }
    return sum(read.values()) + _written(instruction, computation)
  parameters = {i.number: i for i in fused.values() if i.number >= 0}
  read = dict.fromkeys(instruction.operands, 0)
  for number, name in enumerate(instruction.operands):
    read[name] += _read(parameters[number], fused)
  (root,) = (i for i in fused.values() if i.root)
  return _written(root, fused) + sum(
    min(taken, computation[name].bytes) for name, taken in read.items()
  )


def _read(operand: Instruction, users: Computation) -> int:
  """Bytes of `operand` that are read by those of `users` that take it."""
  taken = 0
  for user in users.values():
    if operand.name not in user.operands:
      continue
    first_alone = (
      user.operands[0] == operand.name and operand.name not in user.operands[1:]
    )
    if user.opcode == 'bitcast':
      taken += _read(user, users)
    elif user.opcode in ('dynamic-slice', 'gather', 'slice') and first_alone:
      taken += user.bytes
    elif user.opcode != 'dynamic-update-slice' or not first_alone:
      return operand.bytes
  return min(taken, operand.bytes)


def _written(result: Instruction, computation: Computation) -> int:
  """Bytes of `result` that are written."""
  if result.opcode == 'tuple':
    return sum(_written(computation[n], computation) for n in result.operands)
  if result.opcode == 'bitcast':
    return _written(computation[result.operands[0]], computation)
  if result.opcode == 'dynamic-update-slice':
    return computation[result.operands[1]].bytes
  return result.bytes


def _is_product(instruction: Instruction) -> bool:
  called = instruction.attribute('custom_call_target')
  return instruction.opcode in ('convolution', 'dot') or called.startswith(
    ('__cublas$', '__cudnn$')
  )


def _flops(product: Instruction, computation: Computation) -> int:
  """FLOPs of a convolution or of a matrix product."""
  first, second = (computation[n].results[0] for n in product.operands[:2])
  result = product.results[0]
  labels = product.attribute('dim_labels')
  if labels:  # 'b01f_o01i->b01f': the forward pass's input, filter, output
    called = product.attribute('custom_call_target')
    output, kernel = {
      '__cudnn$convBackwardInput': (first, second),
      '__cudnn$convBackwardFilter': (second, result),
    }.get(called, (result, second))
    features = labels.split('_')[1].split('->')[0].index('o')
    return 2 * output.size * kernel.size // kernel.shape[features]
  contracted = re.findall(
    r'lhs_contracting_dim\w*"?[=:][{[]([^}\]]*)', product.attributes
  )[0]
  lengths = [first.shape[int(d)] for d in re.findall(r'\d+', contracted)]
  return 2 * result.size * math.prod(lengths)
