"""Pictures read at places between their pixels. A chunk is a line of the result.

    for place: rows and columns of the four pixels around it; for vector of channels: their weighted sum
"""

from __future__ import annotations

import llvmlite.ir as ir

from engine.codegen.builder import F32, I64, Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is sample."""
    x, rows, columns = reads
    (out,), attrs = writes, request.attrs
    args: list[int | float] = [x.address, rows.address, columns.address, out.address, *x.shape[1:], *out.shape[1:3],
                               float(attrs["fill_value"]), *_strides(rows), *_strides(columns)]
    entry = sample(attrs["fill_mode"], attrs["interpolation"] == "nearest")
    return [call(entry, args, out.shape[0] * out.shape[1], "sample pictures")]


def _strides(places: Buffer) -> tuple[int, int, int]:
    """From picture to picture, line to line and place to place, 0 where there is only one."""
    _, lines, columns, _ = places.shape
    return lines * columns, columns * (lines > 1), int(columns > 1)


@compiled
def sample(fill_mode: str, nearest: bool) -> str:
    """args: pictures, rows, columns, result, height, width, channels, new height, new width, fill value, strides of
    rows and of columns."""
    code = Code("sample_pictures", host().lanes)
    x, rows, columns, result = (code.pointer(position) for position in range(4))
    height, width, channels, lines, places = (code.arg(position) for position in range(4, 9))
    fill = code.splat(code.number(9))
    with code.loop(code.begin, code.end) as line, code.loop(0, places) as place:
        at = line.index * places + place.index
        number = line.index // lines
        picture, within = number * height, line.index - number * lines
        (top, down), (left, across) = (
            _around(code, code.load_scalar(code.at(source, number * code.arg(first) + within * code.arg(first + 1)
                                                   + place.index * code.arg(first + 2))), extent, fill_mode, nearest)
            for source, extent, first in ((rows, height, 10), (columns, width, 13)))
        corners = [(row, column) for row in (top, top + 1) for column in (left, left + 1)]
        found = [(code.ir.and_(_within(row, height), _within(column, width)),
                  ((picture + row) * width + column) * channels) for row, column in corners[:1 if nearest else 4]]
        with code.loop(0, channels, code.lanes) as channel:
            mask = code.mask(channels - channel.index)
            pixels = [code.ir.select(inside, code.load(code.at(x, code.choose(inside, offset, 0) + channel.index),
                                                       mask=mask), fill) for inside, offset in found]
            value = pixels[0]
            if not nearest:
                upper, lower = (_blend(code, first, second, across) for first, second in (pixels[:2], pixels[2:]))
                value = _blend(code, upper, lower, down)
            code.store(value, code.at(result, at * channels + channel.index), mask=mask)
    return code.finish()


def _within(place: Index, extent: Index) -> ir.Value:
    return place.code.ir.and_(place.compare(">=", 0), place.compare("<", extent))


def _around(code: Code, place: ir.Value, extent: Index, fill_mode: str, nearest: bool) -> tuple[Index, ir.Value]:
    """The pixel before a place, or the nearest one, and the part of the way to the next."""
    b = code.ir
    size = b.sitofp(extent.value, F32)

    def number(value: float) -> ir.Value:
        return ir.Constant(F32, value)

    def floor(value: ir.Value) -> ir.Value:
        return code.call("llvm.floor.f32", F32, [value])

    def trunc(value: ir.Value) -> ir.Value:
        return code.call("llvm.trunc.f32", F32, [value])

    last = b.fsub(size, number(1))
    below = b.fcmp_ordered("<", place, number(0))
    if fill_mode == "reflect":
        turn = b.fmul(size, number(2))
        place = b.select(below, b.fsub(number(-1), place), place)
        place = b.fsub(place, b.fmul(turn, floor(b.fdiv(place, turn))))
        turned = b.fsub(b.fsub(turn, number(1)), place)
        place = b.select(b.fcmp_ordered(">=", place, size), turned, place)
    elif fill_mode == "wrap":
        gap = b.select(b.fcmp_ordered(">", last, number(1)), last, number(1))
        raised = b.fadd(place, b.fmul(size, b.fadd(trunc(b.fdiv(b.fneg(place), gap)), number(1))))
        lowered = b.fsub(place, b.fmul(size, trunc(b.fdiv(place, gap))))
        place = b.select(below, raised, b.select(b.fcmp_ordered(">", place, last), lowered, place))
    low, high = (number(-2), b.fadd(size, number(1))) if fill_mode == "constant" else (number(0), last)
    place = b.select(b.fcmp_ordered(">", place, low), place, low)  # a NaN too
    place = b.select(b.fcmp_ordered("<", place, high), place, high)
    if nearest:
        up, down = floor(b.fadd(place, number(0.5))), b.fneg(floor(b.fsub(number(0.5), place)))
        return Index(code, b.fptosi(b.select(b.fcmp_ordered("<", place, number(0)), down, up), I64)), number(0)
    before = floor(place)
    return Index(code, b.fptosi(before, I64)), b.fsub(place, before)


def _blend(code: Code, first: ir.Value, second: ir.Value, part: ir.Value) -> ir.Value:
    """first * (1 - part) + second * part"""
    one = code.ir.fmul(first, code.splat(code.ir.fsub(ir.Constant(F32, 1.0), part)))
    return code.ir.fadd(one, code.ir.fmul(second, code.splat(part)))
