"""Random changes of training pictures, with the bits of `engine.data.augmentations`.

Each example's numbers are those of the key (seed, stream, epoch, example); seed, epoch, cursor and order stand in the
run's state. One chunk is one picture.
"""

from __future__ import annotations

import llvmlite.ir as ir

from engine.codegen.builder import F32, I64, POINTER, WIDTHS, Code, Index
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.philox import philox, unit
from engine.lowering.request import KernelRequest
from engine.random import AUGMENTATION

COLUMN_FIELDS = 3
"""A column's two neighbours, and the part of the way from one to the other."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    (images, state), (out,) = reads, writes
    attrs, dtype = request.attrs, images.dtype
    args: list[int | float] = [images.address, state.address, out.address, *images.shape[1:],
                               AUGMENTATION + attrs["place"]]
    if request.function == "random_flip":
        entry = flip(dtype, attrs["mode"] != "vertical", attrs["mode"] != "horizontal")
    elif request.function == "random_crop":
        entry = crop(dtype)
        args += out.shape[1:3]
    else:
        entry = translate(dtype, attrs["fill_mode"], attrs["interpolation"] == "nearest")
        args += [float(bound) for bound in (*attrs["height_factor"], *attrs["width_factor"])]
        args.append(float(attrs["fill_value"]))
    return [call(entry, args, out.shape[0], request.function)]


class Pictures:
    """A kernel over pictures. args: images, state, result, height, width, channels, stream."""

    def __init__(self, name: str, dtype: str) -> None:
        self.code = Code(name, host().lanes)
        self.images, self.state, self.result = (self.code.pointer(position) for position in range(3))
        self.height, self.width, self.channels = (self.code.arg(position) for position in range(3, 6))
        self.pixel = self.channels * WIDTHS[dtype]
        """Bytes of a pixel."""

    def words(self, position: Index) -> tuple[ir.Value, ir.Value]:
        """Words 0 and 4 of the example at this position of the batch, as vectors: the first of blocks 0 and 1."""
        code = self.code
        cursor, order = code.entry(self.state, run_state.CURSOR), code.entry(self.state, run_state.ORDER)
        example = code.entry(code.address(order), cursor + position)
        key = (code.entry(self.state, run_state.SEED), code.arg(6))
        drawn, *_ = philox(code, (code.ascending("uint32"), 0, code.entry(self.state, run_state.EPOCH), example), key)
        every = [ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), [lane] * code.lanes) for lane in range(2)]
        first, second = (code.ir.shuffle_vector(drawn, ir.Constant(drawn.type, ir.Undefined), lane) for lane in every)
        return first, second


@compiled
def flip(dtype: str, across: bool, down: bool) -> str:
    """Mirrors each picture in the allowed directions, where the highest bit of its word says so."""
    made = Pictures("flip", dtype)
    code, height, width, pixel = made.code, made.height, made.width, made.pixel
    with code.loop(code.begin, code.end) as position:
        turned = [code.ir.icmp_signed("<", code.first(word), ir.Constant(ir.IntType(32), 0))
                  for word in made.words(position.index)]
        image = position.index * height
        with code.loop(0, height) as row:
            line = code.choose(turned[1], height - 1 - row.index, row.index) if down else row.index
            source = code.at(made.images, (image + line) * width * pixel, "uint8")
            target = code.at(made.result, (image + row.index) * width * pixel, "uint8")
            with code.either(turned[0] if across else ir.Constant(ir.IntType(1), 0)) as (then, otherwise):
                with then, code.loop(0, width) as column:
                    opposite = code.at(source, (width - 1 - column.index) * pixel, "uint8")
                    code.move(code.at(target, column.index * pixel, "uint8"), opposite, pixel)
                with otherwise:
                    code.move(target, source, width * pixel)
    return code.finish()


@compiled
def crop(dtype: str) -> str:
    """A window of each picture. More args: height and width of the window."""
    made = Pictures("crop", dtype)
    code, lines, columns = made.code, made.code.arg(7), made.code.arg(8)
    with code.loop(code.begin, code.end) as position:
        top, left = (_below(code, word, size - window + 1) for word, size, window in zip(
            made.words(position.index), (made.height, made.width), (lines, columns), strict=True))
        with code.loop(0, lines) as row:
            start = ((position.index * made.height + top + row.index) * made.width + left) * made.pixel
            end = (position.index * lines + row.index) * columns * made.pixel
            code.move(code.at(made.result, end, "uint8"), code.at(made.images, start, "uint8"), columns * made.pixel)
    return code.finish()


def _below(code: Code, word: ir.Value, limit: Index) -> Index:
    """0 … limit - 1: the upper half of word * limit."""
    product = code.ir.mul(code.ir.zext(code.first(word), I64), limit.value)
    return Index(code, code.ir.lshr(product, ir.Constant(I64, 32)))


@compiled
def translate(dtype: str, fill_mode: str, nearest: bool) -> str:
    """Rows first, then columns, each as `first * (1 - part) + second * part`.

    More args: lower and upper height factor, lower and upper width factor, fill value.
    """
    made = Pictures("translate", dtype)
    code, height, width, channels = made.code, made.height, made.width, made.channels
    size, fill = width * channels, code.splat(code.number(11))
    blended = code.call("malloc", POINTER, [(size * WIDTHS["float32"]).value])
    columns = code.call("malloc", POINTER, [(width * (COLUMN_FIELDS * WIDTHS["int64"])).value])
    with code.loop(code.begin, code.end) as position:
        down, right = (_shift(code, word, 7 + 2 * axis, extent, nearest) for axis, (word, extent) in enumerate(
            zip(made.words(position.index), (height, width), strict=True)))
        image = code.at(made.images, position.index * height * size, dtype)
        with code.loop(0, width) as column:  # once for all rows: a reflected place takes divisions
            fields = _fields(code, columns, column.index)
            for field, value in zip(fields, _neighbours(code, column.index, right, width, fill_mode), strict=True):
                code.ir.store(value.value if isinstance(value, Index) else value, field)
        with code.loop(0, height) as row:
            upper, lower, part = _neighbours(code, row.index, down, height, fill_mode)
            with code.loop(0, size, code.lanes) as at:
                mask = code.mask(size - at.index)
                above, below = (_pixels(code, image, line * size + at.index, line, dtype, mask, fill)
                                for line in (upper, lower))
                code.store(_blend(code, above, below, part), code.at(blended, at.index), mask=mask)
            line = code.at(made.result, (position.index * height + row.index) * size)
            with code.loop(0, width) as column:
                fields = _fields(code, columns, column.index)
                first, second = (Index(code, code.ir.load(field, typ=I64)) for field in fields[:2])
                part = code.ir.load(fields[2], typ=F32)
                with code.loop(0, channels, code.lanes) as channel:
                    mask = code.mask(channels - channel.index)
                    one, two = (_pixels(code, blended, place * channels + channel.index, place, "float32", mask, fill)
                                for place in (first, second))
                    target = code.at(line, column.index * channels + channel.index)
                    code.store(_blend(code, one, two, part), target, mask=mask)
    for memory in (blended, columns):
        code.call("free", ir.VoidType(), [memory])
    return code.finish()


def _fields(code: Code, columns: ir.Value, column: Index) -> list[ir.Value]:
    """Where a column's two neighbours and the part of the way between them stand."""
    return [code.at(columns, column * COLUMN_FIELDS + field, "int64") for field in range(COLUMN_FIELDS)]


def _shift(code: Code, word: ir.Value, bounds: int, extent: Index, nearest: bool) -> ir.Value:
    """The shift in pixels, all arithmetic in float32."""
    lower, upper = code.number(bounds), code.number(bounds + 1)
    drawn = code.ir.fmul(code.first(unit(code, word)), code.ir.fsub(upper, lower))
    pixels = code.ir.fmul(code.ir.fadd(lower, drawn), code.ir.sitofp(extent.value, F32))
    return code.call("llvm.rint.f32", F32, [pixels]) if nearest else pixels


def _neighbours(code: Code, place: Index, shift: ir.Value, extent: Index,
                fill_mode: str) -> tuple[Index, Index, ir.Value]:
    """The two pixels between which `place` lies after the shift, and which part of the way to the second one."""
    source = code.ir.fsub(code.ir.sitofp(place.value, F32), shift)
    below = code.call("llvm.floor.f32", F32, [source])
    first = Index(code, code.ir.fptosi(below, I64))
    return (_inside(first, extent, fill_mode), _inside(first + 1, extent, fill_mode), code.ir.fsub(source, below))


def _inside(place: Index, extent: Index, fill_mode: str) -> Index:
    """Which pixel stands for one at `place`; -1 for the fill value."""
    code = place.code
    if fill_mode == "nearest":
        return place.maximum(0).minimum(extent - 1)
    if fill_mode == "wrap":
        return (place % extent + extent) % extent
    if fill_mode == "reflect":
        turned = (place % (extent * 2) + extent * 2) % (extent * 2)
        return turned.minimum(extent * 2 - 1 - turned)
    within = code.ir.and_(place.compare(">=", 0), place.compare("<", extent))
    return code.choose(within, place, -1)


def _pixels(code: Code, start: ir.Value, offset: Index, place: Index, dtype: str, mask: ir.Value,
            fill: ir.Value) -> ir.Value:
    """Elements as float32; the fill value where `place` is -1."""
    missing = place.compare("<", 0)
    found = code.load(code.at(start, code.choose(missing, 0, offset), dtype), dtype, mask)
    if dtype == "uint8":
        found = code.ir.uitofp(found, code.vector)
    return code.ir.select(missing, fill, found)


def _blend(code: Code, first: ir.Value, second: ir.Value, part: ir.Value) -> ir.Value:
    """first * (1 - part) + second * part"""
    one = code.ir.fmul(first, code.splat(code.ir.fsub(ir.Constant(F32, 1.0), part)))
    return code.ir.fadd(one, code.ir.fmul(second, code.splat(part)))
