"""Moving values: strided copies, padding, gathering rows, writing records.
One chunk is one line of the innermost dimension's block.
"""

from __future__ import annotations

from math import prod

import numpy as np

from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, longs, octets, real
from engine.lowering.request import KernelRequest

CHUNK_BYTES = 32_768
CURSOR, ORDER, RECORD, RECORDS = run_state.CURSOR, run_state.ORDER, run_state.RECORD, run_state.RECORDS


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Calls of one request."""
    attrs = request.attrs
    if request.function == "gather":
        return [_gather(reads[0], reads[1], writes[0])]
    if request.function == "record":
        return [
            call(
                record.address,
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
    before = [pads[0] for pads in attrs["padding"]]
    target = sum(first * step for first, step in zip(before, _strides(writes[0].shape), strict=True))
    size = prod(writes[0].shape)
    cleared = call(fill.address, [writes[0].address, size, float(attrs["value"])], -(-size // 8192), "pad")
    return [cleared, _copy(reads[0], writes[0], reads[0].shape, "pad", target=target)]


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1:]) for axis in range(len(shape)))


def _copy(source_: Buffer, target_: Buffer, shape: tuple[int, ...], label: str, *, source: int = 0, target: int = 0,
          steps: tuple[int, ...] | None = None) -> Call:
    """Copy a box of `shape`: elements of both buffers by their own strides, from the given offsets."""
    width = np.dtype(source_.dtype).itemsize
    from_steps = steps or _strides(source_.shape)
    to_steps = _strides(target_.shape)
    dims = [dim for dim in zip(shape, from_steps, to_steps, strict=True) if dim[0] != 1] or [(1, 1, 1)]
    merged = [dims[0]]
    for count, a, b in dims[1:]:
        last = merged[-1]
        if last[1] == count * a and last[2] == count * b:
            merged[-1] = (last[0] * count, a, b)
        else:
            merged.append((count, a, b))
    merged = [(1, 0, 0)] * (4 - len(merged)) + merged
    count, a, b = merged[-1]
    args = [source_.address + source * width, target_.address + target * width, width]
    for dim in merged:
        args += dim
    lines = prod(dim[0] for dim in merged[:-1])
    per_chunk = max(1, CHUNK_BYTES // max(1, count * width))
    return call(copy.address, [*args, lines, per_chunk], -(-lines // per_chunk), label)


def _transpose(source: Buffer, target: Buffer, permutation: tuple[int, ...], flip: tuple[int, ...]) -> Call:
    """`target[i, …] = source[permuted i]`, the dimensions in `flip` (of the source) read backwards."""
    steps = _strides(source.shape)
    offset = sum((source.shape[axis] - 1) * steps[axis] for axis in flip)
    turned = tuple(-steps[axis] if axis in flip else steps[axis] for axis in permutation)
    return _copy(source, target, target.shape, "transpose", source=offset, steps=turned)


def _concatenate(reads: list[Buffer], out: Buffer, axis: int) -> list[Call]:
    calls, start = [], 0
    for part in reads:
        calls.append(_copy(part, out, part.shape, "concatenate", target=start * _strides(out.shape)[axis]))
        start += part.shape[axis]
    return calls


def _gather(rows: Buffer, state: Buffer, out: Buffer) -> Call:
    size = prod(rows.shape[1:]) * np.dtype(rows.dtype).itemsize
    per_chunk = max(1, CHUNK_BYTES // size)
    return call(gather.address, [rows.address, state.address, out.address, size, out.shape[0], per_chunk],
                -(-out.shape[0] // per_chunk), "gather")


@compute_kernel
def fill(args, begin, end):  # type: ignore[no-untyped-def]
    """args: target, elements, the value."""
    target = floats(args[0], (args[1],))
    value = np.float32(real(args[2]))
    for index in range(begin * 8192, min(end * 8192, args[1])):
        target[index] = value


@compute_kernel
def copy(args, begin, end):  # type: ignore[no-untyped-def]
    """args: source, target, bytes of an element, four times (count, source step, target step), lines, lines a chunk."""
    second, third = args[6], args[9]
    for line in range(begin * args[16], min(end * args[16], args[15])):
        i0, i1, i2 = line // third // second, line // third % second, line % third
        source = args[0] + args[2] * (i0 * args[4] + i1 * args[7] + i2 * args[10])
        target = args[1] + args[2] * (i0 * args[5] + i1 * args[8] + i2 * args[11])
        count, a, b = args[12], args[13], args[14]
        # Where the line is read backwards, the array begins at its last element: a negative index would wrap around.
        last = max(0, -a * (count - 1))
        source -= args[2] * last
        if args[2] == 4:
            x, y = floats(source, (1,)), floats(target, (1,))
            if a == 1 and b == 1:
                for index in range(count):
                    y[index] = x[index]
            else:
                for index in range(count):
                    y[index * b] = x[last + index * a]
        else:
            p, q = octets(source, (1,)), octets(target, (1,))
            for index in range(count):
                for byte in range(args[2]):
                    q[index * b * args[2] + byte] = p[(last + index * a) * args[2] + byte]


@compute_kernel
def gather(args, begin, end):  # type: ignore[no-untyped-def]
    """args: rows, state, target, bytes of a row, rows wanted, rows a chunk."""
    state = longs(args[1], (16,))
    cursor, size = state[CURSOR], args[3]
    order = longs(state[ORDER], (1,))
    for row in range(begin * args[5], min(end * args[5], args[4])):
        source = octets(args[0] + order[cursor + row] * size, (size,))
        target = octets(args[2] + row * size, (size,))
        for index in range(size):
            target[index] = source[index]


@compute_kernel
def record(args, begin, end):  # type: ignore[no-untyped-def]
    """args: values, count, state, offset, width of a line of records."""
    state = longs(args[2], (16,))
    values = floats(args[0], (args[1],))
    line = floats(state[RECORDS] + 4 * (state[RECORD] * args[4] + args[3]), (args[1],))
    for index in range(args[1]):
        line[index] = values[index]
