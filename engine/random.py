"""Counter-based random numbers: a number is a function of its key, never of how many were drawn before it.

Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC'11). A key is
`(seed, stream, a, b)`, each taken modulo 2^32: Philox's key is (seed, stream), its counter (block, 0, a, b), and a
block gives four words. Words come in groups of 64 made of 16 blocks: block `16 * group + lane` puts its word `w` at
position `64 * group + 16 * w + lane`, so that a vector of 16 lanes stores without a shuffle. A compute kernel that
follows these two sentences has the same bits as this file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SHUFFLE, DROPOUT, AUGMENTATION, SPLIT, INITIALIZER = (purpose << 24 for purpose in range(1, 6))
"""Streams of the engine's uses; a use with many parts adds a part's index (below 2^24) to its stream."""

LANES = 16
ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)

Part = int | npt.NDArray[np.integer]
Key = tuple[Part, Part, Part, Part]
Words = npt.NDArray[np.uint32]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def _word(part: Part) -> npt.NDArray[np.uint64]:
    if isinstance(part, int):
        return np.asarray(part & 0xFFFFFFFF, np.uint64)
    return part.astype(np.int64).view(np.uint64) & _LOW


def philox(counter: tuple[Part, Part, Part, Part], key: tuple[Part, Part]) -> tuple[npt.NDArray[np.uint64], ...]:
    """The four 32-bit words of each counter's block (as uint64), all arguments broadcast together."""
    c0, c1, c2, c3 = (_word(part) for part in counter)
    k0, k1 = (_word(part) for part in key)
    for _ in range(ROUNDS):
        first, second = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = ((second >> _HALF) ^ c1 ^ k0, second & _LOW, (first >> _HALF) ^ c3 ^ k1, first & _LOW)
        k0, k1 = (k0 + np.uint64(WEYL[0])) & _LOW, (k1 + np.uint64(WEYL[1])) & _LOW
    return c0, c1, c2, c3


def bits(key: Key, count: int) -> Words:
    """`count` random words of a key. Parts of the key may be arrays: the result is (*broadcast shape, count)."""
    groups = -(-count // (4 * LANES))
    seed, stream, a, b = (part if isinstance(part, int) else part[..., None] for part in key)
    words = philox((np.arange(groups * LANES, dtype=np.int64), 0, a, b), (seed, stream))
    shape = words[0].shape[:-1]
    grouped = np.stack([word.astype(np.uint32).reshape(*shape, groups, LANES) for word in words], axis=-2)
    return np.ascontiguousarray(grouped.reshape(*shape, groups * 4 * LANES)[..., :count])


def uniform(key: Key, count: int) -> npt.NDArray[np.float32]:
    """float32 in [0, 1): the upper 24 bits of each word, times 2^-24."""
    return (bits(key, count) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def halves(key: Key, count: int) -> npt.NDArray[np.uint16]:
    """`count` random numbers below 2^16: of each group of words first the lower halves, then the upper ones."""
    words = bits(key, -(-count // (8 * LANES)) * 4 * LANES).reshape(-1, 1, 4 * LANES)
    return np.concatenate([words & np.uint32(0xFFFF), words >> np.uint32(16)], 1).reshape(-1)[:count].astype(np.uint16)


def dropping(rate: float) -> tuple[int, float]:
    """The number of `halves` below which an element is dropped, and the factor of those kept, for a rate below 1.

    The rate is the nearest multiple of 2^-16 below 1, the factor its own: the mean stays what it was.
    """
    dropped = min(round(rate * 2**16), 2**16 - 1)
    return dropped, 2**16 / (2**16 - dropped)


def permutation(key: Key, count: int) -> npt.NDArray[np.int64]:
    """A random order of 0 … count - 1: the stable order of `count` random words."""
    return np.argsort(bits(key, count), kind="stable").astype(np.int64)
