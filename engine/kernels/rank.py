"""The order of numbers. A chunk is some of them."""

from __future__ import annotations

from engine.codegen.builder import Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest

CHUNK = 64


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is rank."""
    (x,), (out,) = reads, writes
    return [call(rank(), [x.address, out.address, out.shape[0]], -(-out.shape[0] // CHUNK), "rank")]


@compiled
def rank() -> str:
    """args: x, result, count."""
    code = Code("rank", host().lanes)
    x, result, count = code.pointer(0), code.pointer(1), code.arg(2)
    one = code.splat(1.0)
    with code.loop(code.begin * CHUNK, (code.end * CHUNK).minimum(count)) as place:
        own = code.splat(code.load_scalar(code.at(x, place.index)))
        with code.loop(0, count, code.lanes, carry=[code.zeros()]) as other:
            mask = code.mask(count - other.index)
            values = code.load(code.at(x, other.index), mask=mask)
            equal = code.ir.and_(code.ir.fcmp_ordered("==", values, own), code.mask(place.index - other.index))
            smaller = code.ir.or_(code.ir.fcmp_ordered("<", values, own), equal)
            counted = code.ir.select(code.ir.and_(smaller, mask), one, code.zeros())
            other.carry = [code.ir.fadd(other.values[0], counted)]
        total = code.across(other.values[0], code.ir.fadd)
        code.store_scalar(code.first(total), code.at(result, place.index))
    return code.finish()
