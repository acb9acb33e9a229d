"""Even histograms of tiles. A chunk is one picture: first the tables of all its tiles, then its pixels."""

from __future__ import annotations

import llvmlite.ir as ir

from engine.codegen.builder import F32, I64, POINTER, WIDTHS, Code, Index
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is clahe."""
    (x,), (out,), attrs = reads, writes, request.attrs
    batch, *sizes = out.shape
    args = [x.address, out.address, *sizes, *attrs["grid"], *attrs["tile"], float(attrs["limit"])]
    return [call(clahe(attrs["bins"], attrs["limit"] > 0), args, batch, "clahe")]


@compiled
def clahe(bins: int, limited: bool) -> str:
    """args: x, result, height, width, channels, tiles down, across, their height, width, the limit of a bin."""
    code = Code("clahe", 1)
    x, result = code.pointer(0), code.pointer(1)
    height, width, channels, rows, columns, high, wide = (code.arg(position) for position in range(2, 9))
    tables = code.call("malloc", POINTER, [(rows * columns * channels * (bins * WIDTHS["float32"])).value])
    with code.loop(code.begin, code.end) as picture:
        start = picture.index * height * width * channels
        with code.loop(0, rows) as row, code.loop(0, columns) as column, code.loop(0, channels) as channel:
            table = code.at(tables, ((row.index * columns + column.index) * channels + channel.index) * bins)
            with code.loop(0, bins) as place:
                code.store_scalar(_number(0.0), code.at(table, place.index))
            with code.loop(0, high) as down, code.loop(0, wide) as across:
                line = _mirrored(row.index * high + down.index, height)
                at = _mirrored(column.index * wide + across.index, width)
                count = code.at(table, _bin(code, x, start + (line * width + at) * channels + channel.index, bins))
                code.store_scalar(code.ir.fadd(code.load_scalar(count), _number(1.0)), count)
            _tones(code, table, high * wide, bins, limited=limited)
        with code.loop(0, height) as row:
            lines = _around(code, row.index, high, rows)
            with code.loop(0, width) as column:
                places = _around(code, column.index, wide, columns)
                with code.loop(0, channels) as channel:
                    at = start + (row.index * width + column.index) * channels + channel.index
                    tone, total = _bin(code, x, at, bins), _number(0.0)
                    for down_to, part in lines:
                        for beside, share in places:
                            entry = ((down_to * columns + beside) * channels + channel.index) * bins + tone
                            found = code.ir.fmul(code.load_scalar(code.at(tables, entry)), part)
                            total = code.ir.fadd(total, code.ir.fmul(found, share))
                    code.store_scalar(total, code.at(result, at))
    code.call("free", ir.VoidType(), [tables])
    return code.finish()


def _tones(code: Code, table: ir.Value, pixels: Index, bins: int, *, limited: bool) -> None:
    """Counts of a tile become new tones."""
    b = code.ir
    if limited:
        limit = code.number(9)
        with code.loop(0, bins, carry=[_number(0.0)]) as place:
            count = code.load_scalar(code.at(table, place.index))
            kept = code.call("llvm.minnum.f32", F32, [count, limit])
            code.store_scalar(kept, code.at(table, place.index))
            place.carry = [b.fadd(place.values[0], b.fsub(count, kept))]
        spread = b.fdiv(place.values[0], _number(float(bins)))
    else:
        spread = _number(0.0)
    first = b.fadd(code.load_scalar(table), spread)
    rest = b.fsub(b.sitofp(pixels.value, F32), first)
    rest = b.select(b.fcmp_ordered("==", rest, _number(0.0)), _number(1.0), rest)
    with code.loop(0, bins, carry=[_number(0.0)]) as place:
        entry = code.at(table, place.index)
        total = b.fadd(place.values[0], b.fadd(code.load_scalar(entry), spread))
        tone = b.fdiv(b.fmul(b.fsub(total, first), _number(bins - 1.0)), rest)
        code.store_scalar(_clipped(code, tone, bins), entry)
        place.carry = [total]


def _around(code: Code, pixel: Index, extent: Index, count: Index) -> list[tuple[Index, ir.Value]]:
    """The tiles before and behind a pixel, with their weights."""
    b = code.ir
    size = b.sitofp(extent.value, F32)
    at = b.fdiv(b.fsub(b.sitofp(pixel.value, F32), b.fmul(size, _number(0.5))), size)
    before = code.call("llvm.floor.f32", F32, [at])
    part, place = b.fsub(at, before), Index(code, b.fptosi(before, I64))
    return [(place.maximum(0).minimum(count - 1), b.fsub(_number(1.0), part)),
            ((place + 1).maximum(0).minimum(count - 1), part)]


def _mirrored(place: Index, extent: Index) -> Index:
    return place.code.choose(place.compare("<", extent), place, extent * 2 - 1 - place)


def _bin(code: Code, x: ir.Value, at: Index, bins: int) -> Index:
    """One that there is, NaN included."""
    return Index(code, code.ir.fptosi(_clipped(code, code.load_scalar(code.at(x, at)), bins), I64))


def _clipped(code: Code, value: ir.Value, bins: int) -> ir.Value:
    low = code.call("llvm.maxnum.f32", F32, [value, _number(0.0)])
    return code.call("llvm.minnum.f32", F32, [low, _number(bins - 1.0)])


def _number(value: float) -> ir.Value:
    return ir.Constant(F32, value)
