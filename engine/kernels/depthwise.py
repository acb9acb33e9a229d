"""Depthwise convolution: vectors of channels, a few pixels at a time in registers.

    for line: for vector of channels: for tile of pixels:
        accumulators = 0
        for tap row: for tap column:  accumulators += x[pixels + tap] * kernel[tap]
        y = accumulators

Forward and backward-data are this one kernel over other strides. Backward-kernel keeps the taps in registers instead
and runs over pixels. In both, the columns of a tile and of the taps are unrolled, and a vector of x that several of
them meet is loaded once. Requests have one kernel for each channel; a depth multiplier is taken apart where they are
made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import Code, Index
from engine.codegen.host import host
from engine.kernels import elementwise
from engine.kernels.call import Buffer, Call, call
from engine.lowering.chunks import batch_parts
from engine.lowering.request import KernelRequest
from engine.lowering.select import MINIMUM_CHUNKS
from engine.windows import Pair, Phase, halo, phases

PIXELS_OF_REGISTERS = 4
"""One register of so many accumulates a pixel of a tile: the others hold taps, and what is loaded ahead."""
GRADIENTS_OF_REGISTERS = 8
"""One register of so many holds a pixel's gradient, backward-kernel."""
VISIT = 128
"""Pixels that the taps of a vector are summed over before the next vector's turn."""
CHUNK = 8192
"""Elements of the result to aim at in one chunk."""


@dataclass(frozen=True)
class View:
    """Result positions and taps with their strides in elements: result[image, line, column] sums over taps."""

    lines: int
    columns: int
    taps: Pair
    x: tuple[int, int, int, int, int]
    """Of image, line, column, tap row, tap column."""
    kernel: Pair
    """Of tap row, tap column."""
    y: tuple[int, int, int]
    """Of image, line, column."""
    offset_x: int = 0
    offset_kernel: int = 0
    offset_y: int = 0


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`forward` and `backward_data` (whose image is the result's gradient with its halo), or `backward_kernel`."""
    if request.function == "backward_kernel":
        return _backward_kernel(reads[0], reads[1], writes[0], writes[1], **request.attrs)
    (x, kernel), (y,) = reads, writes
    forward = request.function == "forward"
    views = [_forward(x, kernel, y, **request.attrs)] if forward else _backward_data(kernel, y, **request.attrs)
    return [_call(view, x, kernel, y, f"depthwise {request.function}") for view in views]


def channels(buffer: Buffer) -> int:
    """Channels of an image; repeated ones stand in a dimension of their own."""
    return prod(buffer.shape[3:])


def _forward(x: Buffer, kernel: Buffer, y: Buffer, *, strides: Pair, dilation: Pair) -> View:
    _, h, w, *_ = x.shape
    _, oh, ow, *_ = y.shape
    c = channels(y)
    steps = (h * w * c, strides[0] * w * c, strides[1] * c, dilation[0] * w * c, dilation[1] * c)
    kh, kw = kernel.shape[:2]
    return View(oh, ow, (kh, kw), steps, (kw * c, c), (oh * ow * c, ow * c, c))


def _backward_data(kernel: Buffer, dx: Buffer, *, strides: Pair, dilation: Pair, before: Pair,
                   outputs: Pair) -> list[View]:
    """One view for each phase; the kernel is read backwards."""
    _, h, w, *_ = dx.shape
    kh, kw = kernel.shape[:2]
    c = channels(dx)
    front_h, back_h = halo(h, kh, strides[0], dilation[0], before[0], outputs[0])
    front_w, back_w = halo(w, kw, strides[1], dilation[1], before[1], outputs[1])
    lines, width = outputs[0] + front_h + back_h, outputs[1] + front_w + back_w

    def view(down: Phase, across: Phase) -> View:
        return View(down.count, across.count, (down.taps, across.taps),
                    (lines * width * c, width * c, c, down.reach * width * c, across.reach * c),
                    (-down.step * kw * c, -across.step * c), (h * w * c, strides[0] * w * c, strides[1] * c),
                    offset_x=((down.base + front_h) * width + across.base + front_w) * c,
                    offset_kernel=((kh - 1 - down.tap) * kw + kw - 1 - across.tap) * c,
                    offset_y=(down.first * w + across.first) * c)

    return [view(down, across) for down in phases(h, kh, strides[0], dilation[0], before[0])
            for across in phases(w, kw, strides[1], dilation[1], before[1])]


(X, KERNEL, Y, TOTAL, LINES_PER_CHUNK, LINES, COLUMNS, CHANNELS, TAP_ROWS, TAP_COLUMNS, X_IMAGE, X_LINE, X_COLUMN,
 X_TAP_ROW, X_TAP_COLUMN, KERNEL_ROW, KERNEL_COLUMN, Y_IMAGE, Y_LINE, Y_COLUMN) = range(20)


def _call(view: View, x: Buffer, kernel: Buffer, y: Buffer, label: str) -> Call:
    c, lines = channels(y), y.shape[0] * view.lines
    most = host().registers // PIXELS_OF_REGISTERS
    pixels = -(-view.columns // -(-view.columns // most))
    per_chunk = max(1, CHUNK // (view.columns * c))
    starts = [x.address + 4 * view.offset_x, kernel.address + 4 * view.offset_kernel, y.address + 4 * view.offset_y]
    args = [*starts, lines, per_chunk, view.lines, view.columns, c, *view.taps, *view.x, *view.kernel, *view.y]
    work = lines * -(-view.columns // pixels) * pixels * prod(view.taps)
    entry = positions(pixels, view.taps[1], view.x[2] // c, view.x[4] // c, c < host().lanes)
    return call(entry, args, -(-lines // per_chunk), label, _flops(work, c))


def _flops(positions: int, channels: int) -> int:
    """What whole vectors take for so many pixels and taps."""
    return 2 * positions * -(-channels // host().lanes) * host().lanes


@objects.compiled
def positions(pixels: int, taps: int, stride: int, dilation: int, masked: bool) -> str:
    """The LLVM IR for tiles of so many pixels, `stride` columns of x apart, and tap columns `dilation` apart.

    `masked` where the channels do not fill one vector. The last vector and the last tile overlap their neighbours
    where they would reach beyond the end.
    """
    code = Code("depthwise", host().lanes)
    x, kernel, y = (code.pointer(position) for position in (X, KERNEL, Y))
    lines, columns, count = code.arg(LINES), code.arg(COLUMNS), code.arg(CHANNELS)
    mask = code.mask(count) if masked else None
    x_steps = {place: count * place for place in _places(pixels, taps, stride, dilation)}
    y_steps = [code.arg(Y_COLUMN) * pixel for pixel in range(pixels)]
    kernel_steps = [code.arg(KERNEL_COLUMN) * tap for tap in range(taps)]
    per_chunk = code.arg(LINES_PER_CHUNK)
    together = max(1, (host().registers - pixels) // 2 - 1)
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(code.arg(TOTAL))) as position:
        image, line = position.index // lines, position.index % lines
        x_line = code.at(x, image * code.arg(X_IMAGE) + line * code.arg(X_LINE))
        y_line = code.at(y, image * code.arg(Y_IMAGE) + line * code.arg(Y_LINE))
        with code.loop(0, count, code.lanes) as vector:
            channel = vector.index if masked else vector.index.minimum(count - code.lanes)
            with code.loop(0, columns, pixels) as tile:
                column = tile.index.minimum(columns - pixels)
                x_tile = code.at(x_line, column * code.arg(X_COLUMN) + channel)
                with code.loop(0, code.arg(TAP_ROWS), carry=[code.zeros()] * pixels) as row:
                    x_row = code.at(x_tile, row.index * code.arg(X_TAP_ROW))
                    k_row = code.at(kernel, row.index * code.arg(KERNEL_ROW) + channel)
                    sums = list(row.values)
                    for first in range(0, taps, together):
                        some = range(first, min(taps, first + together))
                        weights = {tap: code.load(code.at(k_row, kernel_steps[tap]), mask=mask) for tap in some}
                        for place, met in _places(pixels, some, stride, dilation).items():
                            value = code.load(code.at(x_row, x_steps[place]), mask=mask)
                            for pixel, tap in met:
                                sums[pixel] = code.fma(value, weights[tap], sums[pixel])
                    row.carry = sums
                y_tile = code.at(y_line, column * code.arg(Y_COLUMN) + channel)
                for step, total in zip(y_steps, row.values, strict=True):
                    code.store(total, code.at(y_tile, step), mask=mask)
    return code.finish()


def _places(pixels: int, taps: int | range, stride: int, dilation: int) -> dict[int, list[Pair]]:
    """Columns of x, counted from the tile's first one, and the (pixel, tap) that meet there."""
    places: dict[int, list[Pair]] = {}
    for pixel in range(pixels):
        for tap in range(taps) if isinstance(taps, int) else taps:
            places.setdefault(pixel * stride + tap * dilation, []).append((pixel, tap))
    return dict(sorted(places.items()))


def _backward_kernel(x: Buffer, g: Buffer, out: Buffer, partial: Buffer, *, strides: Pair,
                     dilation: Pair) -> list[Call]:
    """The batch is cut into parts; a chunk is a part of it, for one group of taps and some vectors of channels."""
    n, h, w, *_ = x.shape
    _, oh, ow, *_ = g.shape
    kh, kw, *_ = out.shape
    c, lanes = channels(g), host().lanes
    parts = batch_parts(n, oh * ow)
    target = partial if parts > 1 else out
    most = host().registers - host().registers // GRADIENTS_OF_REGISTERS - 2
    rows, columns = (kh, kw) if kh * kw <= most else (1, kw) if kw <= most else (1, 1)
    groups = (kh // rows, kw // columns)
    sizes = [-(-n // parts), n, oh, ow, *groups, h * w * c, strides[0] * w * c, strides[1] * c, dilation[0] * w * c,
             dilation[1] * c, oh * ow * c, ow * c, c, kh * kw * c, kw * c]
    calls = []
    for first, vectors, rest in ((0, c // lanes, 0), (c - c % lanes, int(c % lanes > 0), c % lanes)):
        if vectors:
            blocks = 1 if parts * prod(groups) >= MINIMUM_CHUNKS else vectors
            args = [*(buffer.address + 4 * first for buffer in (x, g, target)), vectors, rest, *sizes, blocks,
                    max(1, VISIT // (oh * ow))]
            entry, count = taps(rows, columns, strides[1], dilation[1], rest > 0), parts * prod(groups) * blocks
            flops = _flops(n * oh * ow * kh * kw, vectors * lanes)
            calls.append(call(entry, args, count, "depthwise backward_kernel", flops))
    return calls if parts == 1 else [*calls, elementwise.fold(target.address, out.address, kh * kw * c, parts)]


@objects.compiled
def taps(rows: int, columns: int, stride: int, dilation: int, masked: bool) -> str:
    """The LLVM IR that sums x * g over pixels for `rows` by `columns` taps at a time."""
    code = Code("depthwise_taps", host().lanes)
    x, g, out = (code.pointer(position) for position in range(3))
    (vectors, rest, length, images, lines, pixels, row_groups, column_groups, x_image, x_line, x_column, tap_row,
     tap_column, g_image, g_line, g_column, out_part, out_row, blocks, visited) = (
        code.arg(position) for position in range(3, 23))
    mask = code.mask(rest) if masked else None
    x_rows = [tap_row * row for row in range(rows)]
    together = host().registers // GRADIENTS_OF_REGISTERS

    def summed(x_at: ir.Value, g_at: ir.Value, count: int, sums: Sequence[ir.Value]) -> list[ir.Value]:
        """The next `count` pixels' share."""
        sums = list(sums)
        grads = [code.load(code.at(g_at, g_column * pixel), mask=mask) for pixel in range(count)]
        for row, step in enumerate(x_rows):
            x_row = code.at(x_at, step)
            for place, met in _places(count, columns, stride, dilation).items():
                value = code.load(code.at(x_row, g_column * place), mask=mask)
                for pixel, tap in met:
                    sums[row * columns + tap] = code.fma(value, grads[pixel], sums[row * columns + tap])
        return sums

    def places(part: Index, row: Index, column: Index, vector: Index) -> list[ir.Value]:
        """Where the sums of a vector stand between two visits."""
        start = code.at(out, part * out_part + row * out_row + column * g_column + vector * code.lanes)
        return [code.at(start, out_row * row + g_column * column) for row in range(rows) for column in range(columns)]

    with code.loop(code.begin, code.end) as chunk:
        block, group = chunk.index % blocks, chunk.index // blocks
        first_column, group = group % column_groups * columns, group // column_groups
        first_row, part = group % row_groups * rows, group // row_groups
        x_start = code.at(x, first_row * tap_row + first_column * tap_column)
        first, last = block * vectors // blocks, (block + 1) * vectors // blocks
        with code.loop(first, last) as vector:
            for place in places(part, first_row, first_column, vector.index):
                code.store(code.zeros(), place, mask=mask)
        end = ((part + 1) * length).minimum(images)
        with code.loop(part * length, end, visited) as visit, code.loop(first, last) as vector:
            kept = places(part, first_row, first_column, vector.index)
            channel = vector.index * code.lanes
            with (
                code.loop(visit.index, (visit.index + visited).minimum(end),
                          carry=[code.load(place, mask=mask) for place in kept]) as image,
                code.loop(0, lines, carry=image.values) as line,
            ):
                x_at = code.at(x_start, image.index * x_image + line.index * x_line + channel)
                g_at = code.at(g, image.index * g_image + line.index * g_line + channel)
                whole = pixels // together * together
                sums = line.values
                for start, stop, count in ((code.index(0), whole, together), (whole, pixels, 1)):
                    with code.loop(start, stop, count, carry=sums) as pixel:
                        pixel.carry = summed(code.at(x_at, pixel.index * x_column),
                                             code.at(g_at, pixel.index * g_column), count, pixel.values)
                    sums = pixel.values
                line.carry = sums
                image.carry = line.values
            for place, total in zip(kept, image.values, strict=True):
                code.store(total, place, mask=mask)
    return code.finish()
