"""The random numbers of `engine.random` inside compute kernels: the same words, bit for bit."""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir

from engine.codegen.builder import I32, I64, Code, Index
from engine.random import LANES, MULTIPLIERS, ROUNDS, WEYL

GROUP = 4 * LANES
"""Words of a group."""


def philox(code: Code, counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> list[ir.Value]:
    """The four words of each lane's block, as vectors of uint32.

    Counter and key are vectors of uint32, or an int or Index that is taken modulo 2^32 for all lanes.

    Between rounds a word is the lower half of 64 bits: a product's lower half is a word as it stands, its upper half
    one shift away, and what is above a word is never looked at.
    """
    wide = ir.VectorType(I64, code.lanes)
    c0, c1, c2, c3, k0, k1 = (code.ir.zext(_words(code, part), wide) for part in (*counter, *key))
    word, half = ir.Constant(wide, [0xFFFFFFFF] * code.lanes), ir.Constant(wide, [32] * code.lanes)
    for _ in range(ROUNDS):
        first, second = (code.ir.mul(code.ir.and_(c, word), ir.Constant(wide, [factor] * code.lanes))
                         for c, factor in zip((c0, c2), MULTIPLIERS, strict=True))
        c0, c2 = (code.ir.xor(code.ir.xor(code.ir.lshr(product, half), c), k)
                  for product, c, k in ((second, c1, k0), (first, c3, k1)))
        c1, c3 = second, first
        k0, k1 = (code.ir.add(k, ir.Constant(wide, [step] * code.lanes))
                  for k, step in zip((k0, k1), WEYL, strict=True))
    return [code.ir.trunc(c, ir.VectorType(I32, code.lanes)) for c in (c0, c1, c2, c3)]


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
