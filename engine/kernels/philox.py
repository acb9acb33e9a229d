"""The random numbers of `engine.random` inside compute kernels: the same words, bit for bit.

`key` is (seed, stream), `a` and `b` are the counter's last two words; all are taken modulo 2^32.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.random import LANES, MULTIPLIERS, ROUNDS, WEYL

GROUP = 4 * LANES
"""Words that `group` makes at a time."""

M0, M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
W0, W1 = np.uint32(WEYL[0]), np.uint32(WEYL[1])
HALF = np.uint64(32)
UNIT = np.float32(2.0**-24)


@njit(inline="always", error_model="numpy")
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """The four words of one block, as uint32, from counter and key."""
    c0, c1, c2, c3 = np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)
    k0, k1 = np.uint32(k0), np.uint32(k1)
    for _ in range(ROUNDS):
        first, second = np.uint64(c0) * M0, np.uint64(c2) * M1
        c0 = np.uint32(np.uint32(second >> HALF) ^ c1 ^ k0)
        c2 = np.uint32(np.uint32(first >> HALF) ^ c3 ^ k1)
        c1, c3 = np.uint32(second), np.uint32(first)
        k0, k1 = np.uint32(k0 + W0), np.uint32(k1 + W1)
    return c0, c1, c2, c3


@njit(inline="always", error_model="numpy")
def group(words, number, seed, stream, a, b):  # type: ignore[no-untyped-def]
    """Words 64 * number to 64 * number + 63 of a key, into a uint32 array of 64."""
    for lane in range(LANES):
        c0, c1, c2, c3 = philox(number * LANES + lane, 0, a, b, seed, stream)
        words[lane] = c0
        words[LANES + lane] = c1
        words[2 * LANES + lane] = c2
        words[3 * LANES + lane] = c3


@njit(inline="always", error_model="numpy")
def unit(word):  # type: ignore[no-untyped-def]
    """float32 in [0, 1), as `engine.random.uniform` makes it of a word."""
    return np.float32(np.int32(np.uint32(word) >> np.uint32(8))) * UNIT
