"""Kernels, bytes and FLOPs of short programs, counted by hand."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import hlo
from benchmarks.kernels import awaited, kernels

# A batch of 2 is gathered out of 100 rows, convolved, and added up; the sum
# goes to the other devices and back. A loop of 3 rounds doubles a row in place.
PROGRAM = """
HloModule step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%fused_gather (p0: f32[100,4,4,3], p1: s32[2,1]) -> f32[2,4,4,3] {
  %p0 = f32[100,4,4,3]{3,2,1,0} parameter(0)
  %p1 = s32[2,1]{1,0} parameter(1)
  %rows = f32[2,1,4,4,3]{4,3,2,1,0} gather(%p0, %p1), offset_dims={1,2,3,4}
  ROOT %batch = f32[2,4,4,3]{3,2,1,0} bitcast(%rows)
}

%fused_reduce (q0: f32[2,4,4,8]) -> f32[8] {
  %q0 = f32[2,4,4,8]{3,2,1,0} parameter(0)
  %zero = f32[] constant(0)
  ROOT %reduce = f32[8]{0} reduce(%q0, %zero), dimensions={0,1,2}, to_apply=%add
}

%fused_update (u0: f32[5,8], u1: s32[]) -> f32[5,8] {
  %u0 = f32[5,8]{1,0} parameter(0)
  %u1 = s32[] parameter(1)
  %none = s32[] constant(0)
  %row = f32[1,8]{1,0} dynamic-slice(%u0, %u1, %none), dynamic_slice_sizes={1,8}
  %twice = f32[1,8]{1,0} add(%row, %row)
  ROOT %new = f32[5,8]{1,0} dynamic-update-slice(%u0, %twice, %u1, %none)
}

%condition (c: (s32[], f32[5,8])) -> pred[] {
  %c = (s32[], f32[5,8]{1,0}) parameter(0)
  %c0 = s32[] get-tuple-element(%c), index=0
  %limit = s32[] constant(3)
  ROOT %less = pred[] compare(%c0, %limit), direction=LT
}

%body (r: (s32[], f32[5,8])) -> (s32[], f32[5,8]) {
  %r = (s32[], f32[5,8]{1,0}) parameter(0)
  %r0 = s32[] get-tuple-element(%r), index=0
  %r1 = f32[5,8]{1,0} get-tuple-element(%r), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%r0, %one)
  %updated = f32[5,8]{1,0} fusion(%r1, %r0), kind=kLoop, calls=%fused_update
  ROOT %both = (s32[], f32[5,8]{1,0}) tuple(%next, %updated)
}

ENTRY %main (images: f32[100,4,4,3], ids: s32[2,1], filter: f32[8,3,3,3], \
table: f32[5,8]) -> (f32[2,4,4,8], f32[8], f32[5,8]) {
  %images = f32[100,4,4,3]{3,2,1,0} parameter(0), metadata={op_name="images"}
  %ids = s32[2,1]{1,0} parameter(1)
  %filter = f32[8,3,3,3]{3,2,1,0} parameter(2)
  %table = f32[5,8]{1,0} parameter(3)
  %batch.1 = f32[2,4,4,3]{3,2,1,0} fusion(%images, %ids), kind=kLoop, \
calls=%fused_gather, metadata={op_name="jit(step)/take"}
  %conv = (f32[2,4,4,8]{3,2,1,0}, u8[0]{0}) custom-call(%batch.1, %filter), \
window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convForward", metadata={op_name="jit(step)/conv1"}
  %maps = f32[2,4,4,8]{3,2,1,0} get-tuple-element(%conv), index=0
  %total = f32[8]{0} fusion(%maps), kind=kInput, calls=%fused_reduce
  %send = f32[8]{0} all-reduce-start(%total), replica_groups={{0,1}}, \
to_apply=%add
  %sent = f32[8]{0} all-reduce-done(%send)
  %zeroth = s32[] constant(0)
  %start = (s32[], f32[5,8]{1,0}) tuple(%zeroth, %table)
  %loop = (s32[], f32[5,8]{1,0}) while(%start), condition=%condition, \
body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %last = f32[5,8]{1,0} get-tuple-element(%loop), index=1
  %outer = f32[2,4,4,8]{3,2,1,0} copy(%maps)
  ROOT %result = (f32[2,4,4,8]{3,2,1,0}, f32[8]{0}, f32[5,8]{1,0}) \
tuple(%outer, %sent, %last)
}
"""


def by_name(text):
  return {k.instruction.name: k for k in kernels(hlo.parse(text))}


def test_every_kernel_is_found_with_its_kind_and_its_times():
  found = {n: (k.kind, k.times) for n, k in by_name(PROGRAM).items()}
  assert found == {
    'batch.1': ('element-wise', 1),
    'conv': ('product', 1),
    'total': ('reduction', 1),
    'send': ('collective', 1),
    'less': ('element-wise', 4),
    'next': ('element-wise', 3),
    'updated': ('element-wise', 3),
    'outer': ('copy', 1),
  }


def test_bytes_are_those_that_are_touched():
  batch, filters, maps = 4 * 2 * 4 * 4 * 3, 4 * 8 * 3 * 3 * 3, 4 * 2 * 4 * 4 * 8
  moved = {name: kernel.bytes for name, kernel in by_name(PROGRAM).items()}
  assert moved == {
    'batch.1': 2 * batch + 2 * 4,  # two of the hundred rows
    'conv': batch + filters + maps,
    'total': maps + 8 * 4,
    'send': 2 * 8 * 4,
    'less': 4 + 4 + 1,
    'next': 4 + 4 + 4,
    'updated': 8 * 4 + 4 + 8 * 4,  # a row of the table, and its number
    'outer': 2 * maps,
  }


@pytest.mark.parametrize(
  ('called', 'operands', 'result'),
  [
    ('convForward', 'f32[2,4,4,3] f32[8,3,3,3]', 'f32[2,4,4,8]'),
    ('convBackwardInput', 'f32[2,4,4,8] f32[8,3,3,3]', 'f32[2,4,4,3]'),
    ('convBackwardFilter', 'f32[2,4,4,3] f32[2,4,4,8]', 'f32[8,3,3,3]'),
  ],
)
def test_the_three_convolutions_have_the_same_flops(called, operands, result):
  first, second = operands.split()
  (product,) = by_name(f"""
ENTRY %main (x: {first}, y: {second}) -> {result} {{
  %x = {first}{{3,2,1,0}} parameter(0)
  %y = {second}{{3,2,1,0}} parameter(1)
  ROOT %conv = ({result}{{3,2,1,0}}, u8[9]{{0}}) custom-call(%x, %y), \
dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn${called}"
}}""").values()
  assert product.flops == 2 * (2 * 4 * 4 * 8) * (3 * 3 * 3)
  assert (product.dtype, product.exact) == ('f32', False)


def test_products_within_fusions_are_counted():
  (product,) = by_name("""
%dots (a: bf16[4,7,5], b: bf16[4,5,6]) -> bf16[4,7,6] {
  %a = bf16[4,7,5]{2,1,0} parameter(0)
  %b = bf16[4,5,6]{2,1,0} parameter(1)
  ROOT %dot = bf16[4,7,6]{2,1,0} dot(%a, %b), lhs_batch_dims={0}, \
lhs_contracting_dims={2}, rhs_batch_dims={0}, rhs_contracting_dims={1}, \
operand_precision={highest,highest}
}

ENTRY %main (x: bf16[4,7,5], y: bf16[4,5,6]) -> bf16[4,7,6] {
  %x = bf16[4,7,5]{2,1,0} parameter(0)
  %y = bf16[4,5,6]{2,1,0} parameter(1)
  ROOT %fusion = bf16[4,7,6]{2,1,0} fusion(%x, %y), kind=kCustom, calls=%dots
}""").values()
  assert (product.kind, product.flops) == ('product', 2 * 4 * 7 * 5 * 6)
  assert (product.dtype, product.exact) == ('bf16', True)
  assert product.bytes == 2 * 4 * (7 * 5 + 5 * 6 + 7 * 6)


def test_products_wait_for_what_leads_to_them():
  inside = awaited(hlo.parse(PROGRAM))
  assert {'batch.1', 'images', 'filter'} <= inside
  assert not inside & {'conv', 'send', 'outer', 'loop'}


def test_a_program_of_this_machine_is_read():
  x = jnp.ones((8, 4))
  compiled = jax.jit(lambda x: jnp.sin(x).sum(0)).lower(x).compile()
  program = hlo.parse(compiled.as_text())
  (parameter,) = (
    i for i in program.computations[program.entry].values() if i.number == 0
  )
  assert parameter.results == (hlo.Array('f32', (8, 4)),)
  assert sum(k.bytes for k in kernels(program)) >= 8 * 4 * 4 + 4 * 4


def test_text_that_is_no_program_is_refused():
  with pytest.raises(ValueError, match='no entry computation'):
    hlo.parse('HloModule empty')
