"""Pooling: windows of an image, a vector of channels at a time.

    for line of windows: for window: for vector of channels:
        for tap row: for tap column:  result = combine(result, x[window + tap])

Where the windows lie side by side, taps are unrolled, and the gradient is written window by window. Else the gradient
of a pixel is gathered from the windows that cover it, in their order. A chunk is some lines of windows, or of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import Code, Index, Loop
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest
from engine.windows import Pair

CHUNK = 8192
"""Elements of the image to aim at in one chunk."""
UNROLLED = 9
"""Taps of a window that are unrolled, at most."""

(IMAGE, WINDOWS, CHOSEN, TOTAL, PER_CHUNK, HEIGHT, WIDTH, CHANNELS, LINES, COLUMNS, POOL_HEIGHT, POOL_WIDTH,
 STRIDE_DOWN, STRIDE_ACROSS, TOP, LEFT, IMAGE_STEPS, WINDOW_STEPS, CHOSEN_STEPS) = (*range(17), 19, 22)


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`maximum` and `average` forward, `maximum_grad` and `average_grad` backward."""
    attrs, function = request.attrs, request.function
    backward = function.endswith("grad")
    image, windows = (writes[0], reads[0]) if backward else (reads[0], writes[0])
    chosen = {"maximum": writes[-1], "maximum_grad": reads[-1]}.get(function)
    pool, strides, padding = attrs["pool"], attrs["strides"], attrs["padding"]
    (n, h, w, c), (_, oh, ow, _) = image.shape, windows.shape
    apart = pool == strides if backward else True
    plain = apart and padding == ((0, 0), (0, 0)) and prod(pool) <= UNROLLED
    lines = oh if plain or not backward else h
    per_chunk = max(1, CHUNK * lines // (h * w * c or 1))
    args = [image.address, windows.address, chosen.address if chosen else 0, n * lines, per_chunk, h, w, c, oh, ow,
            *pool, *strides, padding[0][0], padding[1][0]]
    for buffer in (image, windows, chosen or windows):
        args += buffer.strides[:3]
    entry = over_windows(function, pool if plain else None, c < host().lanes)
    return [call(entry, args, -(-n * lines // per_chunk), function)]


@compiled
def over_windows(function: str, taps: Pair | None, masked: bool) -> str:
    """The LLVM IR; with `taps`, for whole windows of this size side by side.

    `masked` where the channels do not fill one vector; else the last vector overlaps the one before.
    """
    kernel = _Pool(function, masked)
    if function.endswith("grad"):
        kernel.scatter(taps) if taps else kernel.gather()
    else:
        kernel.forward(taps)
    return kernel.code.finish()


class _Pool:
    """The kernel under construction."""

    def __init__(self, function: str, masked: bool) -> None:
        self.code = code = Code("pool", host().lanes)
        self.maximum = function.startswith("maximum")
        self.masked = masked
        self.height, self.width, self.channels = code.arg(HEIGHT), code.arg(WIDTH), code.arg(CHANNELS)
        self.lines, self.columns = code.arg(LINES), code.arg(COLUMNS)
        self.pool = (code.arg(POOL_HEIGHT), code.arg(POOL_WIDTH))
        self.strides = (code.arg(STRIDE_DOWN), code.arg(STRIDE_ACROSS))
        self.before = (code.arg(TOP), code.arg(LEFT))
        self.mask = code.mask(self.channels) if masked else None

    def _at(self, pointer: int, steps: int, image: Index, line: Index, column: Index,
            dtype: str = "float32") -> ir.Value:
        """The first channel of a pixel or window."""
        code = self.code
        offset = image * code.arg(steps) + line * code.arg(steps + 1) + column * code.arg(steps + 2)
        return code.at(code.pointer(pointer), offset, dtype)

    def _reach(self, first: Index, axis: int) -> tuple[Index, Index]:
        """The taps of a window that begins at `first` which meet real pixels."""
        size = (self.height, self.width)[axis]
        return (self.code.index(0) - first).maximum(0), (size - first).minimum(self.pool[axis])

    def _cover(self, place: Index, axis: int) -> tuple[Index, Index]:
        """The windows along one axis that a pixel is part of."""
        stride, count = self.strides[axis], (self.lines, self.columns)[axis]
        shifted = place + self.before[axis]
        first = (shifted - self.pool[axis] + stride).maximum(0) // stride
        return first, (shifted // stride + 1).minimum(count)

    def _share(self, taps: Sequence[tuple[Index, Index]]) -> ir.Value:
        """1 / the number of these taps."""
        (top, bottom), (left, right) = taps
        count = self.code.ir.sitofp(((bottom - top) * (right - left)).value, ir.FloatType())
        return self.code.splat(self.code.ir.fdiv(ir.Constant(ir.FloatType(), 1.0), count))

    def _vectors(self) -> AbstractContextManager[Loop]:
        """The loop over vectors of channels, and where each of them begins."""
        return self.code.loop(0, self.channels, self.code.lanes)

    def _channel(self, index: Index) -> Index:
        return index if self.masked else index.minimum(self.channels - self.code.lanes)

    def forward(self, taps: Pair | None) -> None:
        """Largest value and its tap number, or the mean of the real pixels."""
        code, per_chunk = self.code, self.code.arg(PER_CHUNK)
        with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(code.arg(TOTAL))) as position:
            image, line = position.index // self.lines, position.index % self.lines
            top = line * self.strides[0] - self.before[0]
            with code.loop(0, self.columns) as window:
                left = window.index * self.strides[1] - self.before[1]
                source = self._at(IMAGE, IMAGE_STEPS, image, top, left)
                target = self._at(WINDOWS, WINDOW_STEPS, image, line, window.index)
                chosen = self._at(CHOSEN, CHOSEN_STEPS, image, line, window.index, "uint8")
                reach = [(code.index(0), code.index(taps[d])) if taps else self._reach((top, left)[d], d)
                         for d in (0, 1)]
                share = None if self.maximum else self._share(reach)
                with self._vectors() as vector:
                    channel = self._channel(vector.index)
                    found = self._reduce(code.at(source, channel), reach, taps)
                    if self.maximum:
                        octets = code.ir.trunc(found[1], code.type_of("uint8"))
                        code.store(octets, code.at(chosen, channel, "uint8"), "uint8", self.mask)
                    result = found[0] if share is None else code.ir.fmul(found[0], share)
                    code.store(result, code.at(target, channel), mask=self.mask)

    def _reduce(self, source: ir.Value, reach: Sequence[tuple[Index, Index]], taps: Pair | None) -> list[ir.Value]:
        """Over the taps of one window: the largest value and its number, or the sum."""
        code = self.code
        (top, bottom), (left, right) = reach
        first = code.splat(top * self.pool[1] + left, "int32")
        state = [code.splat(float("-inf")), first] if self.maximum else [code.zeros()]
        if taps:
            for tap in range(prod(taps)):
                offset = code.arg(IMAGE_STEPS + 1) * (tap // taps[1]) + code.arg(IMAGE_STEPS + 2) * (tap % taps[1])
                state = self._combine(state, code.at(source, offset), tap)
            return state
        with code.loop(top, bottom, carry=state) as row:
            with code.loop(left, right, carry=row.values) as column:
                offset = row.index * code.arg(IMAGE_STEPS + 1) + column.index * code.arg(IMAGE_STEPS + 2)
                number = row.index * self.pool[1] + column.index
                column.carry = self._combine(column.values, code.at(source, offset), number)
            row.carry = column.values
        return list(row.values)

    def _combine(self, state: Sequence[ir.Value], pointer: ir.Value, number: Index | int) -> list[ir.Value]:
        code, value = self.code, self.code.load(pointer, mask=self.mask)
        if not self.maximum:
            return [code.ir.fadd(state[0], value)]
        best, which = state
        # NaN wins, the first of several: greater or not comparable, unless the best already is NaN.
        wins = code.ir.and_(code.ir.fcmp_unordered(">", value, best), code.ir.fcmp_ordered("ord", best, best))
        return [code.ir.select(wins, value, best), code.ir.select(wins, code.splat(number, "int32"), which)]

    def scatter(self, taps: Pair) -> None:
        """Gradients of windows side by side: each pixel of a window is written once, those of no window are zero."""
        code, per_chunk = self.code, self.code.arg(PER_CHUNK)
        with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(code.arg(TOTAL))) as position:
            image, line = position.index // self.lines, position.index % self.lines
            top = line * taps[0]
            share = code.splat(1.0 / (taps[0] * taps[1]))
            with code.loop(0, self.columns) as window, self._vectors() as vector:
                channel = self._channel(vector.index)
                gradient = code.load(code.at(self._at(WINDOWS, WINDOW_STEPS, image, line, window.index), channel),
                                     mask=self.mask)
                which = self._which(image, line, window.index, channel) if self.maximum else None
                target = code.at(self._at(IMAGE, IMAGE_STEPS, image, top, window.index * taps[1]), channel)
                for tap in range(prod(taps)):
                    offset = code.arg(IMAGE_STEPS + 1) * (tap // taps[1]) + code.arg(IMAGE_STEPS + 2) * (tap % taps[1])
                    part = self._part(gradient, which, tap, share)
                    code.store(part, code.at(target, offset), mask=self.mask)
            self._clear(image, (top, top + taps[0]), (self.columns * taps[1], self.width))
            last = (line + 1).compare("==", self.lines)
            with code.when(last):
                self._clear(image, (top + taps[0], self.height), (code.index(0), self.width))

    def _clear(self, image: Index, rows: tuple[Index, Index], columns: tuple[Index, Index]) -> None:
        """Zeros in a part of the image."""
        code = self.code
        with code.loop(*rows) as row, code.loop(*columns) as column, self._vectors() as vector:
            target = code.at(self._at(IMAGE, IMAGE_STEPS, image, row.index, column.index), self._channel(vector.index))
            code.store(code.zeros(), target, mask=self.mask)

    def gather(self) -> None:
        """Gradients of any windows, pixel by pixel."""
        code, per_chunk = self.code, self.code.arg(PER_CHUNK)
        with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(code.arg(TOTAL))) as position:
            image, row = position.index // self.height, position.index % self.height
            first_line, last_line = self._cover(row, 0)
            with code.loop(0, self.width) as place, self._vectors() as vector:
                channel = self._channel(vector.index)
                first_column, last_column = self._cover(place.index, 1)
                with code.loop(first_line, last_line, carry=[code.zeros()]) as line:
                    with code.loop(first_column, last_column, carry=line.values) as window:
                        top = line.index * self.strides[0] - self.before[0]
                        left = window.index * self.strides[1] - self.before[1]
                        source = self._at(WINDOWS, WINDOW_STEPS, image, line.index, window.index)
                        gradient = code.load(code.at(source, channel), mask=self.mask)
                        which = self._which(image, line.index, window.index, channel) if self.maximum else None
                        share = gradient if self.maximum else self._share([self._reach(top, 0), self._reach(left, 1)])
                        number = (row - top) * self.pool[1] + (place.index - left)
                        window.carry = [code.ir.fadd(window.values[0], self._part(gradient, which, number, share))]
                    line.carry = window.values
                target = code.at(self._at(IMAGE, IMAGE_STEPS, image, row, place.index), channel)
                code.store(line.values[0], target, mask=self.mask)

    def _which(self, image: Index, line: Index, column: Index, channel: Index) -> ir.Value:
        """The tap numbers that were chosen."""
        place = self.code.at(self._at(CHOSEN, CHOSEN_STEPS, image, line, column, "uint8"), channel, "uint8")
        return self.code.ir.zext(self.code.load(place, "uint8", self.mask), self.code.type_of("int32"))

    def _part(self, gradient: ir.Value, which: ir.Value | None, number: Index | int, share: ir.Value) -> ir.Value:
        """What one tap gets of a window's gradient."""
        if which is None:
            return self.code.ir.fmul(gradient, share)
        hit = self.code.ir.icmp_unsigned("==", which, self.code.splat(number, "int32"))
        return self.code.ir.select(hit, gradient, self.code.zeros())
