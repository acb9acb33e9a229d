"""Even histograms. A chunk is one channel of all pictures."""

from __future__ import annotations

from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import F32, F64, I64, Code, Index
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is equalize."""
    (out,) = writes
    args = [*(buffer.address for buffer in (*reads, out)), prod(out.shape[:3]), out.shape[3]]
    return [call(equalize(request.attrs["bins"]), args, out.shape[3], "equalize")]


@compiled
def equalize(bins: int) -> str:
    """args: x, places counted, places read, result, pixels, channels."""
    code = Code("equalize", 1)
    x, counted, read, result = (code.pointer(position) for position in range(4))
    pixels, channels = code.arg(4), code.arg(5)
    counts, table = code.local(bins, "int64"), code.local(bins)
    with code.loop(code.begin, code.end) as channel:
        with code.loop(0, bins) as place:
            code.store_scalar(ir.Constant(I64, 0), code.at(counts, place.index, "int64"))
        with code.loop(0, pixels) as pixel:
            count = code.at(counts, _place(code, counted, pixel.index * channels + channel.index, bins), "int64")
            code.store_scalar(code.ir.add(code.load_scalar(count, "int64"), ir.Constant(I64, 1)), count)
        used = _table(code, counts, table, pixels, bins)
        with code.loop(0, pixels) as pixel:
            at = pixel.index * channels + channel.index
            found = code.load_scalar(code.at(table, _place(code, read, at, bins)))
            several = used.compare(">", 1)
            code.store_scalar(code.ir.select(several, found, code.load_scalar(code.at(x, at))), code.at(result, at))
    return code.finish()


def _place(code: Code, places: ir.Value, at: Index, bins: int) -> Index:
    """A bin that there is, whatever stands there."""
    given = code.load_scalar(code.at(places, at))
    known = code.ir.and_(code.ir.fcmp_ordered(">", given, ir.Constant(F32, 0.0)),
                         code.ir.fcmp_ordered("<", given, ir.Constant(F32, float(bins))))
    return Index(code, code.ir.fptosi(code.ir.select(known, given, ir.Constant(F32, 0.0)), I64))


def _table(code: Code, counts: ir.Value, table: ir.Value, pixels: Index, bins: int) -> Index:
    """Fill in each bin's new element; how many bins have any."""
    nothing = ir.Constant(I64, 0)
    with code.loop(0, bins, carry=[nothing, nothing]) as place:
        lowest, used = (Index(code, value) for value in place.values)
        count = code.entry(counts, place.index)
        some, first = count.compare(">", 0), used.compare("==", 0)
        place.carry = [code.choose(code.ir.and_(some, first), count, lowest).value,
                       (used + code.choose(some, 1, 0)).value]
    lowest, used = (Index(code, value) for value in place.values)
    rest = code.ir.sitofp((pixels - lowest).maximum(1).value, F64)
    with code.loop(0, bins, carry=[nothing]) as place:
        total = Index(code, place.values[0]) + code.entry(counts, place.index)
        share = code.ir.fmul(code.ir.sitofp((total - lowest).maximum(0).value, F64), ir.Constant(F64, 255.0))
        rounded = code.call("llvm.rint.f64", F64, [code.ir.fdiv(share, rest)])
        code.store_scalar(code.ir.fptrunc(rounded, F32), code.at(table, place.index))
        place.carry = [total.value]
    return used
