"""Normalisation of rows: of x (rows, width) each row by its own moments, forward and backward, in one pass over memory.

A row is read several times, but from the first cache. What is summed over rows, the gradients of gamma and beta, is
added up in parts whose number follows from the shape alone.
"""

from __future__ import annotations

from math import prod

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import F32, Code, Index
from engine.codegen.host import host
from engine.kernels import elementwise, lines
from engine.kernels.call import Buffer, Call, call
from engine.lowering.chunks import row_parts
from engine.lowering.request import KernelRequest

CHUNK = 4096
"""Elements to aim at in one chunk."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`forward` or `backward`."""
    centered, epsilon = request.attrs["centered"], float(request.attrs["epsilon"])
    addresses = [buffer.address for buffer in (*reads, *writes)]
    rows, width = _view(*reads[:2]) if request.function == "forward" else _view(*reads[1:3])
    if request.function == "forward":
        per_chunk = max(1, CHUNK // width)
        args = [rows, width, per_chunk, epsilon, *addresses]
        return [call(forward(centered), args, -(-rows // per_chunk), "row_norm")]
    parts = row_parts(rows)
    _, dgamma, dbeta, partial = writes
    calls = [call(backward(centered), [rows, width, -(-rows // parts), *addresses[:6], partial.address], parts,
                  "row_norm backward")]
    for place, target in enumerate((dgamma, dbeta)):
        first = partial.address + 4 * place * parts * width
        calls.append(elementwise.fold(first, target.address, width, parts))
    return calls


def _view(x: Buffer, gamma: Buffer) -> tuple[int, int]:
    width = prod(gamma.shape)
    return prod(x.shape[:len(x.shape) - len(gamma.shape)]), width


@objects.compiled
def forward(centered: bool) -> str:
    """y = (x - mean) inverse gamma + beta, where inverse = 1 / sqrt(variance + epsilon); mean is 0 unless `centered`.

    args: rows, width, rows a chunk, epsilon, x, gamma, beta, y, mean, inverse.
    """
    code = Code("row_norm", host().lanes)
    rows, width, per_chunk = (code.arg(position) for position in range(3))
    x, gamma, beta, y, means, inverses = (code.pointer(position) for position in range(4, 10))
    share = _share(code, width)
    with code.loop(code.begin * per_chunk, (code.end * per_chunk).minimum(rows)) as row:
        source, target = (code.at(pointer, row.index * width) for pointer in (x, y))

        def load(pointer: ir.Value, column: Index, mask: ir.Value | None) -> ir.Value:
            return code.load(code.at(pointer, column), mask=mask)

        mean = code.zeros()
        if centered:
            (total,) = lines.totals(code, width, 1, lambda column, mask: [load(source, column, mask)])
            mean = code.ir.fmul(total, share)

        def square(column: Index, mask: ir.Value | None) -> list[ir.Value]:
            apart = code.ir.fsub(load(source, column, mask), mean)
            return [code.ir.fmul(apart, apart)]

        (squares,) = lines.totals(code, width, 1, square)
        variance = code.ir.fadd(code.ir.fmul(squares, share), code.splat(code.number(3)))
        inverse = code.ir.fdiv(code.splat(1.0), code.intrinsic("sqrt", variance))

        def write(column: Index, mask: ir.Value | None) -> None:
            normal = code.ir.fmul(code.ir.fsub(load(source, column, mask), mean), inverse)
            scaled = code.ir.fmul(normal, load(gamma, column, mask))
            code.store(code.ir.fadd(scaled, load(beta, column, mask)), code.at(target, column), mask=mask)

        lines.vectors(code, width, write)
        for value, pointer in ((mean, means), (inverse, inverses)):
            code.store_scalar(code.first(value), code.at(pointer, row.index))
    return code.finish()


def _share(code: Code, width: Index) -> ir.Value:
    return code.splat(code.ir.fdiv(ir.Constant(F32, 1.0), code.ir.sitofp(width.value, F32)))


@objects.compiled
def backward(centered: bool) -> str:
    """Gradients of x, and of gamma and beta for each part of the rows.

    With h = g gamma and n = (x - mean) inverse: dx = inverse (h - mean(h) - n mean(h n)), the mean of h only if
    `centered`; dgamma = sum g n, dbeta = sum g.
    args: rows, width, rows a part, g, x, gamma, mean, inverse, dx, partial (2, parts, width).
    """
    code = Code("row_norm_backward", host().lanes)
    rows, width, length = (code.arg(position) for position in range(3))
    g, x, gamma, means, inverses, dx, partial = (code.pointer(position) for position in range(3, 10))
    share = _share(code, width)
    parts = (rows + length - 1) // length
    with code.loop(code.begin, code.end) as part:
        dgamma = code.at(partial, part.index * width)
        dbeta = code.at(partial, (parts + part.index) * width)

        def clear(column: Index, mask: ir.Value | None) -> None:
            for pointer in (dgamma, dbeta):
                code.store(code.zeros(), code.at(pointer, column), mask=mask)

        lines.vectors(code, width, clear)
        start = part.index * length
        with code.loop(start, (start + length).minimum(rows)) as row:
            above, source, target = (code.at(pointer, row.index * width) for pointer in (g, x, dx))
            mean, inverse = (code.splat(code.load_scalar(code.at(pointer, row.index))) for pointer in (means, inverses))

            def values(column: Index, mask: ir.Value | None) -> tuple[ir.Value, ir.Value, ir.Value]:
                """g, h and n of some columns."""
                given, normal, factor = (code.load(code.at(pointer, column), mask=mask)
                                         for pointer in (above, source, gamma))
                return (given, code.ir.fmul(given, factor), code.ir.fmul(code.ir.fsub(normal, mean), inverse))

            def terms(column: Index, mask: ir.Value | None) -> list[ir.Value]:
                _, scaled, normal = values(column, mask)
                return [scaled, code.ir.fmul(scaled, normal)]

            totals = [code.ir.fmul(total, share) for total in lines.totals(code, width, 2, terms)]

            def write(column: Index, mask: ir.Value | None) -> None:
                given, scaled, normal = values(column, mask)
                left = code.ir.fsub(scaled, totals[0]) if centered else scaled
                left = code.ir.fsub(left, code.ir.fmul(normal, totals[1]))
                code.store(code.ir.fmul(left, inverse), code.at(target, column), mask=mask)
                for more, pointer in ((code.ir.fmul(given, normal), dgamma), (given, dbeta)):
                    place = code.at(pointer, column)
                    code.store(code.ir.fadd(code.load(place, mask=mask), more), place, mask=mask)

            lines.vectors(code, width, write)
    return code.finish()
