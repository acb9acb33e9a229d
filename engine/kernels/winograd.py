"""Winograd convolution, 3 x 3 with stride 1, in three directions. `engine/lowering/winograd.py` has the mathematics.

    forward, and backward data as forward of dy with the turned kernel:
        for block of tiles: transform the inputs -> V; for each place k of a tile: M[k] = V[k] x U[k]; transform M -> y
    backward kernel:
        for part of the batch: for block of tiles: transform x -> V and dy -> D; for k: S[k] += V[k]^T x D[k]
        dk = the sum over the parts of G^T S G

A block's V and M stay in the cache. The products are the contraction's micro-kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.codegen.scalar import ScalarMath, Vector
from engine.expressions import Body, evaluate
from engine.kernels import elementwise
from engine.kernels.call import Buffer, Call, call
from engine.kernels.contract import accumulate
from engine.kernels.filtering import squared
from engine.lowering import chunks, winograd
from engine.lowering.request import KernelRequest
from engine.lowering.select import Tile

(X, Y, KERNEL, BIAS, SCRATCH, SLOT, BLOCK, LENGTH, TILES, TILES_DOWN, TILES_ACROSS, CHANNELS, FILTERS, HEIGHT, WIDTH,
 TOP, LEFT, HEIGHT_OUT, WIDTH_OUT) = range(19)


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Calls of one request. `function` is kernel, conv2d or conv2d_backward_kernel."""
    m = request.attrs["tile"]
    if request.function == "kernel":
        (kernel,) = reads
        *_, channels, filters = kernel.shape
        args = [kernel.address, writes[0].address, channels, filters, _vectors(filters) * host().lanes]
        return [call(transform_kernel(m), args, channels, "winograd kernel")]
    x, other, *bias = reads
    if request.function == "conv2d":
        y, scratch = writes
        geometry = _Geometry(winograd.CONVOLUTION, m, x.shape, y.shape, request.attrs["padding"])
        per_chunk = max(winograd.CONVOLUTION.least, -(-geometry.tiles // winograd.SLOTS))
        block = geometry.block(per_chunk)
        args = [x.address, y.address, other.address, bias[0].address if bias else 0, scratch.address,
                geometry.slot, block, per_chunk, *geometry.fields]
        entry = convolve(m, _tile(block, geometry.filters), bool(bias), request.attrs["epilogue"])
        return [call(entry, args, -(-geometry.tiles // per_chunk), "winograd conv2d",
                     geometry.tiles * geometry.flops)]
    dk, partial, sums, scratch = writes
    geometry = _Geometry(winograd.GRADIENT, m, x.shape, other.shape, request.attrs["padding"])
    images = x.shape[0]
    parts = chunks.batch_parts(images, other.shape[1] * other.shape[2])
    per_part = -(-images // parts) * (geometry.tiles // images)
    block = geometry.block(per_part)
    target = partial if parts > 1 else dk
    args = [x.address, other.address, target.address, sums.address, scratch.address,
            geometry.slot, block, per_part, *geometry.fields]
    chosen = _tile(host().lanes, geometry.filters, dividing=True)
    done = call(correlate(m, chosen), args, parts, "winograd backward kernel", geometry.tiles * geometry.flops)
    if parts == 1:
        return [done]
    return [done, elementwise.fold(partial.address, dk.address, prod(dk.shape), parts)]


class _Geometry:
    """How tiles lie in the images: `x` (n, h, w, channels) and the convolution's output `y` (n, oh, ow, filters)."""

    def __init__(self, block: winograd.Block, m: int, x: tuple[int, ...], y: tuple[int, ...],
                 padding: tuple[tuple[int, int], ...]) -> None:
        images, height, width, self.channels = x
        _, height_out, width_out, self.filters = y
        down, across = -(-height_out // m), -(-width_out // m)
        self.tiles = images * down * across
        self.most = winograd.most_tiles(block, m, self.channels, self.filters)
        self.slot = winograd.slot_floats(block, m, self.channels, self.filters)
        self.flops = 2 * (m + 2) ** 2 * self.channels * self.filters
        self.fields = [self.tiles, down, across, self.channels, self.filters, height, width, padding[0][0],
                       padding[1][0], height_out, width_out]

    def block(self, tiles: int) -> int:
        """Tiles of a block, so that blocks of a chunk of so many are equally long."""
        return -(-tiles // -(-tiles // self.most))


ACCUMULATORS = (24, 16, 12, 8, 4)
"""Of a register tile: few variants to compile."""


def _vectors(columns: int) -> int:
    """Width of a register tile for so many columns, and of a panel of the transformed kernel."""
    vectors = columns // host().lanes
    return 3 if vectors == 3 else min(2, vectors)


def _tile(rows: int, columns: int, *, dividing: bool = False) -> Tile:
    """The register tile with the least waste; with `dividing` there is none, for what must not be added up twice."""
    vectors = _vectors(columns)
    rest = columns // host().lanes % vectors
    heights = [count // vectors for count in ACCUMULATORS if vectors <= count <= host().rows(vectors) * vectors]
    fitting = [height for height in heights if height <= rows and not (dividing and rows % height)]
    least = max(fitting, key=lambda height: (-(-(-rows // height) * height), height), default=1 if dividing else rows)
    return Tile(least, vectors, rest, False)


@compiled
def transform_kernel(m: int) -> str:
    """U = G kernel G^T: (m + 2)^2 matrices (channels, filters), each in panels. A chunk is a channel.

    args: kernel (3, 3, channels, filters), U, channels, filters, width of a panel.
    """
    code = Code("winograd_kernel", host().lanes)
    kernel, transformed, channels, filters, width = code.pointer(0), code.pointer(1), *map(code.arg, (2, 3, 4))
    plane = channels * filters
    with code.loop(code.begin, code.end) as channel, code.loop(0, filters, code.lanes) as column:
        start = channel.index * filters + column.index
        panel = column.index // width * width
        line = (filters - panel).minimum(width)
        target = panel * channels + channel.index * line + column.index - panel
        squared(
            code, winograd.transforms(m).kernel,
            lambda i, j: code.load(code.at(kernel, plane * (3 * i + j) + start)),
            lambda i, j, value: code.store(value, code.at(transformed, plane * ((m + 2) * i + j) + target)),
        )
    return code.finish()


@compiled
def convolve(m: int, chosen: Tile, biased: bool, body: Body) -> str:
    """A chunk is LENGTH tiles, a block after the other, in a slot of its own."""
    code = Code("winograd_conv2d", host().lanes)
    block, channels, filters = code.arg(BLOCK), code.arg(CHANNELS), code.arg(FILTERS)
    square = (m + 2) ** 2
    with code.loop(code.begin, code.end) as chunk:
        slot = code.at(code.pointer(SCRATCH), chunk.index * code.arg(SLOT))
        products = code.at(slot, block * channels * square)
        patch = code.at(products, block * filters * square)
        first = chunk.index * code.arg(LENGTH)
        last = (first + code.arg(LENGTH)).minimum(code.arg(TILES))
        with code.loop(first, last, block) as start:
            count = (last - start.index).minimum(block)
            with _tiles(code, m, start.index, count) as at:
                _transform_inputs(code, m, at, code.at(slot, at.place * channels * square), patch)
            with code.loop(0, square) as position:
                _products(code, chosen, square, code.at(slot, position.index * code.lanes),
                          code.at(code.pointer(KERNEL), position.index * channels * filters),
                          code.at(products, position.index * code.lanes))
            with _tiles(code, m, start.index, count) as at:
                _transform_products(code, m, at, code.at(products, at.place * filters * square), patch, biased, body)
    return code.finish()


@dataclass(frozen=True)
class _At:
    """A tile: its place in the block, its image, and the line and column of its first output."""

    place: Index
    image: Index
    line: Index
    column: Index


@contextmanager
def _tiles(code: Code, m: int, first: Index, count: Index) -> Iterator[_At]:
    """A loop over tiles, which lie line by line in each image."""
    down, across = code.arg(TILES_DOWN), code.arg(TILES_ACROSS)
    rest = first % (down * across)
    carry = [(first // (down * across)).value, (rest // across).value, (rest % across).value]
    with code.loop(0, count, carry=carry) as loop:
        image, line, column = (Index(code, value) for value in loop.values)
        yield _At(loop.index, image, line * m, column * m)
        ended = (column + 1).compare("==", across)
        line_after = code.choose(ended, line + 1, line)
        over = line_after.compare("==", down)
        loop.carry = [code.choose(over, image + 1, image).value, code.choose(over, 0, line_after).value,
                      code.choose(ended, 0, column + 1).value]


def _transform_inputs(code: Code, m: int, at: _At, target: ir.Value, patch: ir.Value) -> None:
    """V of a tile = B^T inputs B, for every channel."""
    _window(code, code.pointer(X), at.image, (at.line - code.arg(TOP), at.column - code.arg(LEFT)), m + 2,
            (code.arg(HEIGHT), code.arg(WIDTH), code.arg(CHANNELS)), patch, winograd.transforms(m).inputs, target)


def _transform_gradients(code: Code, m: int, at: _At, target: ir.Value, patch: ir.Value) -> None:
    """D of a tile = A dy A^T, for every filter."""
    _window(code, code.pointer(Y), at.image, (at.line, at.column), m,
            (code.arg(HEIGHT_OUT), code.arg(WIDTH_OUT), code.arg(FILTERS)), patch,
            winograd.transpose(winograd.transforms(m).outputs), target)


def _window(code: Code, images: ir.Value, image: Index, corner: tuple[Index, Index], size: int,
            shape: tuple[Index, Index, Index], patch: ir.Value, matrix: winograd.Matrix, target: ir.Value) -> None:
    """target = matrix window matrix^T for every channel; the window is `size` wide, with zeros outside the image.

    A window across the border is first copied into the patch.
    """
    (line, column), (height, width, channels) = corner, shape
    origin = code.at(images, ((image * height + line) * width + column) * channels)
    top, bottom = (line * -1).maximum(0), (height - line).minimum(size)
    left, right = (column * -1).maximum(0), (width - column).minimum(size)
    inside = code.ir.and_((bottom - top).compare("==", size), (right - left).compare("==", size))
    with code.when(code.ir.not_(inside)):
        code.fill(patch, channels * size**2, code.zeros())
        with code.loop(top, bottom) as row:
            from_ = code.at(origin, (row.index * width + left) * channels)
            to = code.at(patch, (row.index * size + left) * channels)
            with code.loop(0, (right - left) * channels, code.lanes) as element:
                code.store(code.load(code.at(from_, element.index)), code.at(to, element.index))
    source = code.ir.select(inside, origin, patch)
    step = code.choose(inside, width, size) * channels
    lines = [code.at(source, step * i) for i in range(size)]
    results = len(matrix)
    with code.loop(0, channels, code.lanes) as channel:
        goal = code.at(target, channel.index * results**2)
        squared(
            code, matrix,
            lambda i, j: code.load(code.at(lines[i], channels * j + channel.index)),
            lambda i, j, value: code.store(value, code.at(goal, code.lanes * (results * i + j))),
        )


def _transform_products(code: Code, m: int, at: _At, source: ir.Value, patch: ir.Value, biased: bool,
                        body: Body) -> None:
    """y = epilogue(A^T M A + bias) of a tile, for every filter; across the border by way of the patch."""
    height, width, filters = code.arg(HEIGHT_OUT), code.arg(WIDTH_OUT), code.arg(FILTERS)
    origin = code.at(code.pointer(Y), ((at.image * height + at.line) * width + at.column) * filters)
    bottom, right = (height - at.line).minimum(m), (width - at.column).minimum(m)
    inside = code.ir.and_(bottom.compare("==", m), right.compare("==", m))
    target = code.ir.select(inside, origin, patch)
    step = code.choose(inside, width, m) * filters
    lines = [code.at(target, step * i) for i in range(m)]
    math = ScalarMath(code)
    with code.loop(0, filters, code.lanes) as filter_:
        shift = code.load(code.at(code.pointer(BIAS), filter_.index)) if biased else None
        from_ = code.at(source, filter_.index * (m + 2) ** 2)

        def store(i: int, j: int, value: ir.Value) -> None:
            if biased:
                value = code.ir.fadd(value, shift)
            result = evaluate(math, body, [Vector(math, value)]).value
            code.store(result, code.at(lines[i], filters * j + filter_.index))

        squared(code, winograd.transforms(m).outputs,
                lambda i, j: code.load(code.at(from_, code.lanes * ((m + 2) * i + j))), store)
    with (
        code.when(code.ir.not_(inside)),
        code.loop(0, bottom) as row,
        code.loop(0, right * filters, code.lanes) as element,
    ):
        value = code.load(code.at(patch, row.index * m * filters + element.index))
        code.store(value, code.at(origin, row.index * width * filters + element.index))


def _products(code: Code, chosen: Tile, square: int, left: ir.Value, right: ir.Value, target: ir.Value) -> None:
    """target (tiles, filters) = left (tiles, channels) x right (channels, filters), for one place of the tiles.

    A tile holds, for every vector of channels or filters, all its places. The right operand lies in panels.
    """
    channels, filters, block = code.arg(CHANNELS), code.arg(FILTERS), code.arg(BLOCK)

    def tiles(column: Index, vectors: int) -> None:
        width = vectors * code.lanes
        panel = code.at(right, column * channels)
        loops = [(channels // code.lanes, code.index(square * code.lanes), code.index(width * code.lanes)),
                 (code.index(code.lanes), code.index(1), code.index(width))]
        with code.loop(0, block, chosen.rows) as row:
            first = row.index.minimum(block - chosen.rows)
            totals = accumulate(code, [code.zeros()] * (chosen.rows * vectors),
                                code.at(left, first * channels * square), panel, channels * square, loops,
                                [None] * vectors)
            goal = code.at(target, (first * filters + column) * square)
            for place, value in enumerate(totals):
                line, vector = divmod(place, vectors)
                code.store(value, code.at(goal, filters * square * line + vector * square * code.lanes))

    _columns(code, chosen, tiles)


def _columns(code: Code, chosen: Tile, tiles: Callable[[Index, int], None]) -> None:
    """`tiles(column, vectors)` for all filters, whole tiles first."""
    width = chosen.vectors * code.lanes
    whole = code.arg(FILTERS) // width * width
    with code.loop(0, whole, width) as column:
        tiles(column.index, chosen.vectors)
    if chosen.tail:
        tiles(whole, chosen.tail)


@compiled
def correlate(m: int, chosen: Tile) -> str:
    """A chunk is a part of the batch: LENGTH tiles. Its sums S and its result have places of their own.

    X is the image, Y the output's gradient, KERNEL the result, BIAS the sums.
    """
    code = Code("winograd_backward_kernel", host().lanes)
    block, channels, filters = code.arg(BLOCK), code.arg(CHANNELS), code.arg(FILTERS)
    square, matrix = (m + 2) ** 2, channels * filters
    with code.loop(code.begin, code.end) as chunk:
        slot = code.at(code.pointer(SCRATCH), chunk.index * code.arg(SLOT))
        gradients = code.at(slot, block * channels * square)
        patch = code.at(gradients, block * filters * square)
        sums = code.at(code.pointer(BIAS), chunk.index * matrix * square)
        code.fill(sums, matrix * square, code.zeros())
        first = chunk.index * code.arg(LENGTH)
        last = (first + code.arg(LENGTH)).minimum(code.arg(TILES))
        with code.loop(first, last, block) as start:
            count = (last - start.index).minimum(block)
            with _tiles(code, m, start.index, count) as at:
                _transform_inputs(code, m, at, code.at(slot, at.place * channels * square), patch)
                _transform_gradients(code, m, at, code.at(gradients, at.place * filters * square), patch)
            with code.loop(0, square) as position:
                _add_products(code, chosen, square, code.at(slot, position.index * code.lanes),
                              code.at(gradients, position.index * code.lanes),
                              code.at(sums, position.index * matrix), count)
        result = code.at(code.pointer(KERNEL), chunk.index * matrix * 9)
        with code.loop(0, matrix, code.lanes) as element:
            squared(
                code, winograd.transpose(winograd.transforms(m).kernel),
                lambda i, j: code.load(code.at(sums, matrix * ((m + 2) * i + j) + element.index)),
                lambda i, j, value: code.store(value, code.at(result, matrix * (3 * i + j) + element.index)),
            )
    return code.finish()


def _add_products(code: Code, chosen: Tile, square: int, left: ir.Value, right: ir.Value, target: ir.Value,
                  length: Index) -> None:
    """target (channels, filters) += left (tiles, channels)^T x right (tiles, filters), for one place of the tiles."""
    channels, filters = code.arg(CHANNELS), code.arg(FILTERS)
    loops = [(length, channels * square, filters * square)]

    def tiles(column: Index, vectors: int) -> None:
        with code.loop(0, channels, chosen.rows) as row:
            goal = code.at(target, row.index * filters + column)
            places = [code.at(goal, filters * line + vector * code.lanes)
                      for line in range(chosen.rows) for vector in range(vectors)]
            inside = row.index % code.lanes
            totals = accumulate(code, [code.load(place) for place in places],
                                code.at(left, (row.index - inside) * square + inside), code.at(right, column * square),
                                code.index(1), loops, [None] * vectors, square * code.lanes)
            for place, value in zip(places, totals, strict=True):
                code.store(value, place)

    _columns(code, chosen, tiles)
