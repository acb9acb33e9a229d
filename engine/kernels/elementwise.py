"""Elementwise chains: one pass over memory for a whole body of scalar expressions, with numpy's broadcasting.

Dimensions that lie contiguous in every operand are merged; what remains are outer loops, usually three at most, and a
line of columns, along which an operand is either contiguous or one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import Code, Index
from engine.codegen.host import host
from engine.codegen.scalar import ScalarMath, Vector
from engine.expressions import Body, evaluate
from engine.kernels import lines
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest

LINE = 4096
"""Columns to a line where everything is contiguous."""
CHUNK = 8192
"""Elements to aim at in one chunk."""
LEVELS = 3
"""Outer loops of a kernel, at least: with fewer, the first ones have one round."""
OUT, COLUMNS, ROWS, ROWS_PER_CHUNK, TOTAL, COUNTS = range(6)


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`chain` evaluates a body; `broadcast` repeats a value along axes, divided by the repetitions if `mean`."""
    (out,) = writes
    if request.function == "chain":
        return [chain(request.attrs["body"], reads, out)]
    (value,) = reads
    axes = request.attrs["axes"]
    kept = tuple(1 if axis in axes else dim for axis, dim in enumerate(out.shape))
    body: Body = ()
    if request.attrs["mean"]:
        body = (("scale", (0,), (("factor", 1.0 / prod(out.shape[axis] for axis in axes)),)),)
    return [chain(body, [Buffer(value.address, kept, value.dtype)], out)]


def chain(body: Body, inputs: Sequence[Buffer], out: Buffer) -> Call:
    """One call that computes `out` from `inputs`, broadcast to its shape."""
    shape, strides = _merge(out.shape, [buffer.shape for buffer in inputs])
    if len(shape) == 2 and all(stride in ((shape[1], 1), (0, 1)) and (stride[0] or buffer.dtype == "float32")
                               for stride, buffer in zip(strides, inputs, strict=True)):
        return _by_channel(body, inputs, out, shape, strides)
    along = tuple(stride[-1] for stride in strides)
    lead: tuple[int, ...]
    outer: list[tuple[int, ...]]
    if len(shape) == 1:
        columns, lead = LINE, (1,) * (LEVELS - 1) + (-(-shape[0] // LINE),)
        outer = [(0,) * (LEVELS - 1) + (LINE * stride[0],) for stride in strides]
    else:
        missing = max(0, LEVELS + 1 - len(shape))
        columns, lead = shape[-1], (1,) * missing + shape[:-1]
        outer = [(0,) * missing + stride[:-1] for stride in strides]
    rows, per_chunk = prod(lead), max(1, CHUNK // max(columns, 1))
    args: list[int | float] = [out.address, columns, rows, per_chunk, prod(shape), *lead[1:]]
    for buffer, stride in zip(inputs, outer, strict=True):
        args += [buffer.address, *stride]
    entry = kernel(body, tuple(buffer.dtype for buffer in inputs), along, out.dtype, len(lead))
    return call(entry, args, -(-rows // per_chunk), _label(body))


def _by_channel(body: Body, inputs: Sequence[Buffer], out: Buffer, shape: tuple[int, ...],
                strides: Sequence[tuple[int, ...]]) -> Call:
    """Tensors of (rows, channels) beside rows of channels."""
    rows, channels = shape
    together = lines.rows_together(channels)
    step, count = together * channels, -(-rows // together)
    per_chunk = max(1, CHUNK // step)
    full = tuple(stride[0] != 0 for stride in strides)
    entry = by_channel(body, tuple(buffer.dtype for buffer in inputs), full, out.dtype)
    args = [out.address, rows, channels, together, per_chunk, *(buffer.address for buffer in inputs)]
    return call(entry, args, -(-count // per_chunk), _label(body))


def _label(body: Body) -> str:
    return "fused" if len(body) > 1 else body[0][0] if body else "copy"


def fold(parts_address: int, out_address: int, size: int, parts: int) -> Call:
    """The sum of `parts` arrays of `size` float32, one behind the other, in a fixed tree."""
    level, body = list(range(parts)), []
    while len(level) > 1:
        following = []
        for index in range(0, len(level) - 1, 2):
            body.append(("add", (level[index], level[index + 1]), ()))
            following.append(parts + len(body) - 1)
        level = following + level[len(level) - len(level) % 2:]
    inputs = [Buffer(parts_address + 4 * size * part, (size,), "float32") for part in range(parts)]
    return chain(tuple(body), inputs, Buffer(out_address, (size,), "float32"))


def _merge(shape: tuple[int, ...], operands: list[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The output's shape and the operands' strides, neighbouring dimensions merged where every operand allows it."""
    strides = [_strides(operand, shape) for operand in operands]
    dims: list[int] = []
    kept: list[list[int]] = [[] for _ in operands]
    for axis, dim in enumerate(shape):
        if dim == 1:
            continue
        mergeable = dims and all(steps[-1] == stride[axis] * dim for steps, stride in zip(kept, strides, strict=True))
        if mergeable:
            dims[-1] *= dim
            for steps, stride in zip(kept, strides, strict=True):
                steps[-1] = stride[axis]
        else:
            dims.append(dim)
            for steps, stride in zip(kept, strides, strict=True):
                steps.append(stride[axis])
    if dims and any(steps[-1] > 1 for steps in kept):
        dims.append(1)
        kept = [[*steps, 0] for steps in kept]
    return tuple(dims) or (1,), [tuple(steps) or (0,) for steps in kept]


def _strides(operand: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of a contiguous operand broadcast to `shape`."""
    padded = (1,) * (len(shape) - len(operand)) + operand
    steps, step = [], 1
    for dim in reversed(padded):
        steps.append(0 if dim == 1 else step)
        step *= dim
    return tuple(reversed(steps))


@objects.compiled
def kernel(
    body: Body, dtypes: tuple[str, ...], along: tuple[int, ...], out_dtype: str, levels: int = LEVELS
) -> str:
    """The kernel's LLVM IR for operands of these types, contiguous (1) or constant (0) along a line."""
    code = Code("elementwise", host().lanes)
    m = ScalarMath(code)
    out, columns, rows = code.pointer(OUT), code.arg(COLUMNS), code.arg(ROWS)
    per_chunk, total = code.arg(ROWS_PER_CHUNK), code.arg(TOTAL)
    counts = [code.arg(COUNTS + level) for level in range(levels - 1)]
    starts = [COUNTS + levels - 1 + (levels + 1) * operand for operand in range(len(dtypes))]
    pointers = [code.pointer(start) for start in starts]
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(rows)) as row:
        at, rest = [], row.index
        for count in reversed(counts):
            at.append(rest % count)
            rest = rest // count
        at.append(rest)
        lines = []
        for first, pointer, dtype in zip(starts, pointers, dtypes, strict=True):
            offset = code.index(0)
            for level, index in enumerate(reversed(at)):
                offset = offset + index * code.arg(first + 1 + level)
            lines.append(code.at(pointer, offset, dtype))
        start = row.index * columns
        target = code.at(out, start, out_dtype)
        count = columns.minimum(total - start)
        constants = [Vector(m, code.splat(_scalar(code, line, dtype))) if step == 0 else None
                     for line, dtype, step in zip(lines, dtypes, along, strict=True)]

        def compute(column: Index, mask: ir.Value | None) -> None:
            values = [constant or Vector(m, _convert(code, code.load(code.at(line, column, dtype), dtype, mask), dtype))
                      for constant, line, dtype in zip(constants, lines, dtypes, strict=True)]
            result = m.vector(evaluate(m, body, values)).value
            code.store(_convert_back(code, result, out_dtype), code.at(target, column, out_dtype), out_dtype, mask)

        whole = count // code.lanes * code.lanes
        with code.loop(0, whole, code.lanes) as column:
            compute(column.index, None)
        with code.when(whole.compare("<", count)):
            compute(whole, code.mask(count - whole))
    return code.finish()


@objects.compiled
def by_channel(body: Body, dtypes: tuple[str, ...], full: tuple[bool, ...], out_dtype: str) -> str:
    """The kernel's LLVM IR where an operand is a tensor of (rows, channels) (`full`) or one row of channels.

    args: out, rows, channels, rows a line, lines a chunk, then the operands.
    """
    code = Code("channels", host().lanes)
    m = ScalarMath(code)
    out, rows, channels, together, per_chunk = code.pointer(0), *(code.arg(position) for position in range(1, 5))
    operands = [code.pointer(5 + position) for position in range(len(full))]
    repeated: list[ir.Value | None] = []
    for operand, whole in zip(operands, full, strict=True):
        if whole:
            repeated.append(None)
            continue
        line = lines.scratch(code)
        several = together.compare(">", 1)
        with code.when(several):
            lines.tile(code, operand, line, channels, together)
        repeated.append(code.ir.select(several, line, operand))
    step = together * channels
    start = code.begin * per_chunk * step
    count = (code.end * per_chunk * step).minimum(rows * channels) - start

    def compute(column: Index, offsets: Sequence[Index], mask: ir.Value | None) -> None:
        fixed = [None if line is None else code.load(code.at(line, column), mask=mask) for line in repeated]
        for offset in offsets:
            at = start + offset + column
            values = [Vector(m, constant if constant is not None else _convert(
                code, code.load(code.at(operand, at, dtype), dtype, mask), dtype))
                for operand, dtype, constant in zip(operands, dtypes, fixed, strict=True)]
            result = m.vector(evaluate(m, body, values)).value
            code.store(_convert_back(code, result, out_dtype), code.at(out, at, out_dtype), out_dtype, mask)

    lines.sweep(code, step, step, count // step, count % step, compute)
    return code.finish()


def _scalar(code: Code, pointer: ir.Value, dtype: str) -> ir.Value:
    value = code.load_scalar(pointer, dtype)
    if dtype == "float32":
        return value
    return (code.ir.uitofp if dtype in ("uint8", "bool") else code.ir.sitofp)(value, ir.FloatType())


def _convert(code: Code, value: ir.Value, dtype: str) -> ir.Value:
    """A loaded vector as float32."""
    if dtype == "float32":
        return value
    return (code.ir.uitofp if dtype in ("uint8", "bool") else code.ir.sitofp)(value, code.vector)


def _convert_back(code: Code, value: ir.Value, dtype: str) -> ir.Value:
    """A float32 vector in the element type of the output."""
    if dtype == "float32":
        return value
    return (code.ir.fptoui if dtype in ("uint8", "bool") else code.ir.fptosi)(value, code.type_of(dtype))
