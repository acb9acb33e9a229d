"""Moving values: strided copies, borders, transpositions, gathered rows, records. A chunk is some lines or rows."""

from __future__ import annotations

from math import prod

from engine.codegen.builder import WIDTHS, Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.errors import CompileError
from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.transpose import transposed
from engine.lowering.request import KernelRequest

LOOPS = 3
"""Loops over the lines of a copied box; a value of many dimensions has a kernel of more."""
CHUNK_BYTES = 32_768
FILL = 8192
"""Elements that a chunk of `fill` sets."""
CURSOR, ORDER, RECORD, RECORDS = run_state.CURSOR, run_state.ORDER, run_state.RECORD, run_state.RECORDS


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Calls of one request."""
    attrs = request.attrs
    if request.function == "gather":
        return [_gather(reads[0], reads[1], writes[0])]
    if request.function == "record":
        return [
            call(
                record(),
                [reads[0].address, prod(reads[0].shape), reads[1].address, attrs["offset"], attrs["width"]],
                1,
                "record",
            )
        ]
    if request.function == "copy":
        return [_copy(reads[0], writes[0], reads[0].shape, request.function)]
    if request.function == "transpose":
        return [_transpose(reads[0], writes[0], attrs["permutation"], attrs.get("flip", ()))]
    if request.function == "slice":
        offset = attrs["start"] * _strides(reads[0].shape)[attrs["axis"]]
        return [_copy(reads[0], writes[0], writes[0].shape, "slice", source=offset)]
    if request.function == "concatenate":
        return _concatenate(reads, writes[0], attrs["axis"])
    return _pad(reads[0], writes[0], attrs["padding"], float(attrs["value"]))


def _pad(source: Buffer, target: Buffer, padding: tuple[tuple[int, int], ...], value: float) -> list[Call]:
    """One pass over (outer, lines, line) if at most two neighbouring dimensions are padded, else a fill and a copy."""
    axes = [axis for axis, pads in enumerate(padding) if pads != (0, 0)] or [len(padding) - 1]
    if axes[-1] - axes[0] > 1:
        before = sum(pads[0] * step for pads, step in zip(padding, _strides(target.shape), strict=True))
        size = prod(target.shape)
        cleared = call(fill(), [target.address, size, value], -(-size // FILL), "pad")
        return [cleared, _copy(source, target, source.shape, "pad", target=before)]
    last = axes[-1]
    inner = prod(source.shape[last + 1 :])
    outer, height = prod(source.shape[: max(0, last - 1)]), source.shape[last - 1] if last else 1
    (above, below) = padding[last - 1] if last else (0, 0)
    left, right = (inner * amount for amount in padding[last])
    line, total = source.shape[last] * inner, outer * (height + above + below)
    per_chunk = max(1, CHUNK_BYTES // (4 * (left + line + right) or 1))
    args = [source.address, target.address, height, above, below, line, left, right, value, total, per_chunk]
    return [call(bordered(), args, -(-total // per_chunk), "pad")]


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1:]) for axis in range(len(shape)))


def _copy(source_: Buffer, target_: Buffer, shape: tuple[int, ...], label: str, *, source: int = 0,
          target: int = 0) -> Call:
    """Copy a box of `shape`: elements of both buffers by their own strides, from the given offsets."""
    dims = zip(shape, _strides(source_.shape), _strides(target_.shape), strict=True)
    return _box(source_, target_, tuple(dims), label, source=source, target=target)


def _box(source_: Buffer, target_: Buffer, shape: tuple[tuple[int, int, int], ...], label: str, *, source: int = 0,
         target: int = 0) -> Call:
    """Copy a box, given for each dimension its length and the strides in both buffers, from the given offsets."""
    width = WIDTHS[source_.dtype]
    dims = [dim for dim in shape if dim[0] != 1] or [(1, 1, 1)]
    merged = [dims[0]]
    for count, a, b in dims[1:]:
        last = merged[-1]
        if last[1] == count * a and last[2] == count * b:
            merged[-1] = (last[0] * count, a, b)
        else:
            merged.append((count, a, b))
    count, a, b = merged.pop()
    lines, contiguous = prod(dim[0] for dim in merged), a == b == 1
    merged = [(1, 0, 0)] * (LOOPS - len(merged)) + merged
    args = [source_.address + source * width, target_.address + target * width]
    for dim in merged:
        args += [dim[0], dim[1] * width, dim[2] * width]
    per_chunk = max(1, CHUNK_BYTES // max(1, count * width))
    args += [lines, per_chunk, *((count * width,) if contiguous else (count, a, b))]
    return call(copy(None if contiguous else source_.dtype, len(merged)), args, -(-lines // per_chunk), label)


def _transpose(source: Buffer, target: Buffer, permutation: tuple[int, ...], flip: tuple[int, ...]) -> Call:
    """The last two dimensions exchanged; the others stay in order, or reversed if all are in `flip`."""
    *outer, rows, columns = source.shape
    if permutation != (*range(len(outer)), len(outer) + 1, len(outer)) or flip not in ((), tuple(range(len(outer)))):
        raise CompileError(f"expected the last two dimensions exchanged, received {permutation} with {flip} reversed")
    return transposed(source.address, target.address, rows, columns, matrices=prod(outer), backwards=bool(flip))


def panels(source: Buffer, target: Buffer, width: int) -> list[Call]:
    """Copy (rows, columns) into panels of (rows, width), one behind the other; the last may be partly filled."""
    rows, columns = source.shape
    calls, whole = [], columns // width
    for first, count, part in ((0, whole, width), (whole, 1, columns - whole * width)):
        if count and part:
            dims = ((count, width, rows * width), (rows, columns, width), (part, 1, 1))
            calls.append(_box(source, target, dims, "panels", source=first * width, target=first * rows * width))
    return calls


def _concatenate(reads: list[Buffer], out: Buffer, axis: int) -> list[Call]:
    calls, start = [], 0
    for part in reads:
        calls.append(_copy(part, out, part.shape, "concatenate", target=start * _strides(out.shape)[axis]))
        start += part.shape[axis]
    return calls


def _gather(rows: Buffer, state: Buffer, out: Buffer) -> Call:
    size = prod(rows.shape[1:]) * WIDTHS[rows.dtype]
    per_chunk = max(1, CHUNK_BYTES // size)
    return call(gather(), [rows.address, state.address, out.address, size, out.shape[0], per_chunk],
                -(-out.shape[0] // per_chunk), "gather")


@compiled
def fill() -> str:
    """args: target, elements, the value."""
    code = Code("fill", host().lanes)
    start = code.begin * FILL
    stop = (code.end * FILL).minimum(code.arg(1))
    code.fill(code.at(code.pointer(0), start), stop - start, code.splat(code.number(2)))
    return code.finish()


@compiled
def bordered() -> str:
    """A border around (outer, lines, line).

    args: source, target, height, lines above and below, line, elements left and right, value, lines in all, lines a
    chunk.
    """
    code = Code("bordered", host().lanes)
    source, target = code.pointer(0), code.pointer(1)
    height, above, below, line, left, right = (code.arg(position) for position in range(2, 8))
    value, total, per_chunk = code.splat(code.number(8)), code.arg(9), code.arg(10)
    width, lines = left + line + right, above + height + below
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(total)) as number:
        place = code.at(target, number.index * width)
        row = number.index % lines - above
        inside = code.ir.and_(row.compare(">=", 0), row.compare("<", height))
        with code.either(inside) as (then, otherwise):
            with then:
                code.fill(place, left, value)
                start = (number.index // lines * height + row) * line
                code.move(code.at(place, left), code.at(source, start), line * WIDTHS["float32"])
                code.fill(code.at(place, left + line), right, value)
            with otherwise:
                code.fill(place, width, value)
    return code.finish()


@compiled
def copy(dtype: str | None, loops: int) -> str:
    """Lines of bytes, or of elements of `dtype` that are some steps apart.

    args: source, target, for each of so many loops (count, source step, target step) in bytes, lines, lines a chunk;
    then the bytes of a line, or its elements and the steps between them.
    """
    code = Code("copy", host().lanes)
    source, target = code.pointer(0), code.pointer(1)
    dims = [[code.arg(2 + 3 * dim + field) for field in range(3)] for dim in range(loops)]
    after = 2 + 3 * loops
    lines, per_chunk, count = (code.arg(after + position) for position in range(3))
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(lines)) as line:
        rest, x, y = line.index, code.index(0), code.index(0)
        for size, x_step, y_step in reversed(dims):
            x, y = x + rest % size * x_step, y + rest % size * y_step
            rest = rest // size
        x_line, y_line = code.at(source, x, "uint8"), code.at(target, y, "uint8")
        if dtype is None:
            code.move(y_line, x_line, count)
        else:
            with code.loop(0, count) as at:
                element = code.load_scalar(code.at(x_line, at.index * code.arg(after + 3), dtype), dtype)
                code.store_scalar(element, code.at(y_line, at.index * code.arg(after + 4), dtype))
    return code.finish()


@compiled
def gather() -> str:
    """args: rows, state, target, bytes of a row, rows wanted, rows a chunk."""
    code = Code("gather", host().lanes)
    rows, state, target = (code.pointer(position) for position in range(3))
    size, wanted, per_chunk = code.arg(3), code.arg(4), code.arg(5)
    cursor, order = code.entry(state, CURSOR), code.address(code.entry(state, ORDER))
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(wanted)) as row:
        source = code.at(rows, code.entry(order, cursor + row.index) * size, "uint8")
        code.move(code.at(target, row.index * size, "uint8"), source, size)
    return code.finish()


@compiled
def record() -> str:
    """args: values, count, state, offset, width of a line of records."""
    code = Code("record", host().lanes)
    state = code.pointer(2)
    records, start = code.address(code.entry(state, RECORDS)), code.entry(state, RECORD) * code.arg(4) + code.arg(3)
    code.move(code.at(records, start), code.pointer(0), code.arg(1) * WIDTHS["float32"])
    return code.finish()
