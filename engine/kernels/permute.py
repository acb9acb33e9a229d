"""Transpositions in any order of dimensions.

Neighbours that stay neighbours are merged. An exchange of the last two dimensions is the vector kernel's. Where the
last dimension stays the last, lines are copied; otherwise the last ones of both sides form tiles that stay in cache.
"""

from __future__ import annotations

from math import prod

from engine.codegen.builder import WIDTHS, Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels.call import Buffer, Call, call
from engine.kernels.transpose import transposed
from engine.lowering.request import KernelRequest

TILE = 16
CHUNK = 8192
"""Elements to aim at in one chunk."""
OUTER = 6
"""Loops around a tile; a value of more than eight dimensions does not occur."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The only function is transpose."""
    (x,), (y,) = reads, writes
    dims = _merged(x.shape, request.attrs["permutation"])
    if [step for _, step, _ in dims[-2:]] == [1, dims[-2][0] if len(dims) > 1 else 0] and len(dims) <= 3:
        matrices = dims[0][0] if len(dims) == 3 else 1
        return [transposed(x.address, y.address, dims[-1][0], dims[-2][0], matrices=matrices)]
    rows = next((dim for dim in dims[:-1] if dim[1] == 1), (1, 0, 0))
    columns = dims[-1]
    outer = [dim for dim in dims if dim not in (rows, columns)]
    loops = [(1, 0, 0)] * (OUTER - len(outer)) + outer
    args = [x.address, y.address, *rows, *columns]
    for loop in loops:
        args += loop
    count = prod(loop[0] for loop in loops)
    per_chunk = max(1, CHUNK // max(1, rows[0] * columns[0]))
    return [call(transpose(), [*args, count, per_chunk], -(-count // per_chunk), "transpose")]


def _merged(shape: tuple[int, ...], permutation: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(count, step in x, step in y) of each dimension in the order of y, those that can be merged into one."""
    steps = [prod(shape[axis + 1:]) for axis in range(len(shape))]
    dims: list[tuple[int, int, int]] = []
    for count, step in ((shape[axis], steps[axis]) for axis in permutation if shape[axis] != 1):
        if dims and dims[-1][1] == step * count:
            dims[-1] = (dims[-1][0] * count, step, 0)
        else:
            dims.append((count, step, 0))
    dims = dims or [(1, 1, 0)]
    return [(count, step, prod(other[0] for other in dims[place + 1:])) for place, (count, step, _) in enumerate(dims)]


@compiled
def transpose() -> str:
    """args: x, y, rows and columns and six outer loops (count, step in x, step in y each), rounds, rounds a chunk."""
    code = Code("permute", host().lanes)
    height, row_x, row_y, width, column_x, column_y = (code.arg(position) for position in range(2, 8))
    loops = [[code.arg(8 + 3 * loop + field) for field in range(3)] for loop in range(OUTER)]
    rounds, per_chunk = code.arg(8 + 3 * OUTER), code.arg(9 + 3 * OUTER)
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(rounds)) as number:
        rest, x_offset, y_offset = number.index, code.index(0), code.index(0)
        for count, step_x, step_y in reversed(loops):
            place, rest = rest % count, rest // count
            x_offset, y_offset = x_offset + place * step_x, y_offset + place * step_y
        x, y = code.at(code.pointer(0), x_offset), code.at(code.pointer(1), y_offset)
        with code.either(column_x.compare("==", 1)) as (then, otherwise):
            with then:
                code.move(y, x, width * WIDTHS["float32"])
            with (
                otherwise,
                code.loop(0, height, TILE) as top,
                code.loop(0, width, TILE) as left,
                code.loop(top.index, (top.index + TILE).minimum(height)) as row,
                code.loop(left.index, (left.index + TILE).minimum(width)) as column,
            ):
                value = code.load_scalar(code.at(x, row.index * row_x + column.index * column_x))
                code.store_scalar(value, code.at(y, row.index * row_y + column.index * column_y))
    return code.finish()
