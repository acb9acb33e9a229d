"""Transpositions in any order of dimensions.

Neighbours that stay neighbours are merged. An exchange of the last two dimensions is the vector kernel's. Where the
last dimension stays the last, lines are copied; otherwise the last ones of both sides form tiles that stay in cache.
"""

from __future__ import annotations

from math import prod

from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats
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
    return [call(transpose.address, [*args, count, per_chunk], -(-count // per_chunk), "transpose")]


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


@compute_kernel
def transpose(args, begin, end):  # type: ignore[no-untyped-def]
    """args: x, y, rows and columns and six outer loops (count, step in x, step in y each), rounds, rounds a chunk."""
    height, row_x, row_y = args[2], args[3], args[4]
    width, column_x, column_y = args[5], args[6], args[7]
    for number in range(begin * args[27], min(end * args[27], args[26])):
        source, target, rest = args[0], args[1], number
        for loop in range(5, -1, -1):
            count = args[8 + 3 * loop]
            place = rest % count
            rest //= count
            source += 4 * place * args[9 + 3 * loop]
            target += 4 * place * args[10 + 3 * loop]
        x, y = floats(source, (1,)), floats(target, (1,))
        if column_x == 1:
            for column in range(width):
                y[column] = x[column]
            continue
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                for row in range(top, min(top + TILE, height)):
                    for column in range(left, min(left + TILE, width)):
                        y[row * row_y + column * column_y] = x[row * row_x + column * column_x]
