"""The random numbers of `engine.random` inside compute kernels: the same words, bit for bit."""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir

from engine.codegen.builder import I64, Code, Index
from engine.random import LANES, MULTIPLIERS, ROUNDS, WEYL

GROUP = 4 * LANES
"""Words of a group."""


def philox(code: Code, counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> list[ir.Value]:
    """The four words of each lane's block, as vectors of uint32.

    Counter and key are vectors of uint32, or an int or Index that is taken modulo 2^32 for all lanes.
    """
    c0, c1, c2, c3, k0, k1 = (_words(code, part) for part in (*counter, *key))
    for _ in range(ROUNDS):
        (high_0, low_0), (high_1, low_1) = (_product(code, c, factor)
                                            for c, factor in zip((c0, c2), MULTIPLIERS, strict=True))
        c0, c2 = (code.ir.xor(code.ir.xor(high, c), k) for high, c, k in ((high_1, c1, k0), (high_0, c3, k1)))
        c1, c3 = low_1, low_0
        k0, k1 = (code.ir.add(k, code.splat(step, "uint32")) for k, step in zip((k0, k1), WEYL, strict=True))
    return [c0, c1, c2, c3]


def group(code: Code, number: Index, key: tuple[Any, Any, Any, Any]) -> list[ir.Value]:
    """Words 64 * number to 64 * number + 63 of a key (seed, stream, a, b), in order, as vectors of uint32."""
    seed, stream, a, b = key
    columns = []
    for first in range(0, LANES, code.lanes):
        block = code.ir.add(code.splat(number * LANES + first, "uint32"), code.ascending("uint32"))
        columns.append(philox(code, (block, 0, a, b), (seed, stream)))
    return [words[place] for place in range(4) for words in columns]


def unit(code: Code, words: ir.Value) -> ir.Value:
    """float32 in [0, 1), as `engine.random.uniform` makes it of words."""
    mantissa = code.ir.lshr(words, code.splat(8, "uint32"))
    return code.ir.fmul(code.ir.uitofp(mantissa, code.vector), code.splat(2.0**-24))


def _words(code: Code, part: Any) -> ir.Value:
    return code.splat(part & 0xFFFFFFFF if isinstance(part, int) else part, "uint32") if isinstance(
        part, int | Index) else part


def _product(code: Code, words: ir.Value, factor: int) -> tuple[ir.Value, ir.Value]:
    """The high and low half of words * factor."""
    wide = ir.VectorType(I64, code.lanes)
    product = code.ir.mul(code.ir.zext(words, wide), ir.Constant(wide, [factor] * code.lanes))
    high = code.ir.lshr(product, ir.Constant(wide, [32] * code.lanes))
    return code.ir.trunc(high, words.type), code.ir.trunc(product, words.type)
