"""Hashes of texts with the bits of TensorFlow's string hashing.

`fingerprint` is FarmHash's Fingerprint64 (Pike and Alakuijala, 2014; `farmhashna::Hash64`), `keyed` is SipHash-2-4
(Aumasson and Bernstein, 2012).
"""

from __future__ import annotations

K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
LOW = 2**64 - 1
BLOCK = 64


def bucket(text: str, buckets: int, salt: tuple[int, int] | None) -> int:
    """One of 0 … buckets - 1."""
    data = text.encode()
    return (fingerprint(data) if salt is None else keyed(data, *salt)) % buckets


def _word(data: bytes, start: int, size: int = 8) -> int:
    return int.from_bytes(data[start:start + size], "little")


def _turned(value: int, by: int) -> int:
    """The lower 64 bits, rotated to the right."""
    value &= LOW
    return (value >> by | value << (64 - by)) & LOW


def _mixed(value: int) -> int:
    value &= LOW
    return value ^ value >> 47


def _joined(u: int, v: int, factor: int) -> int:
    a = _mixed((u ^ v) * factor)
    return _mixed((v ^ a) * factor) * factor & LOW


def fingerprint(data: bytes) -> int:
    """64 bits."""
    size = len(data)
    factor = K2 + size * 2
    if size > BLOCK:
        return _long(data)
    if size > 32:
        return _medium(data, factor)
    if size > 16:
        a, b = _word(data, 0) * K1, _word(data, 8)
        c, d = _word(data, size - 8) * factor, _word(data, size - 16) * K2
        return _joined((_turned(a + b, 43) + _turned(c, 30) + d) & LOW, (a + _turned(b + K2, 18) + c) & LOW, factor)
    if size >= 8:
        a, b = (_word(data, 0) + K2) & LOW, _word(data, size - 8)
        return _joined((_turned(b, 37) * factor + a) & LOW, (_turned(a, 25) + b) * factor & LOW, factor)
    if size >= 4:
        return _joined(size + (_word(data, 0, 4) << 3), _word(data, size - 4, 4), factor)
    if size:
        y, z = data[0] + (data[size >> 1] << 8), size + (data[-1] << 2)
        return _mixed(y * K2 ^ z * K0) * K2 & LOW
    return K2


def _medium(data: bytes, factor: int) -> int:
    """33 to 64 bytes."""
    size = len(data)
    a, b = _word(data, 0) * K2, _word(data, 8)
    c, d = _word(data, size - 8) * factor, _word(data, size - 16) * K2
    y = (_turned(a + b, 43) + _turned(c, 30) + d) & LOW
    z = _joined(y, (a + _turned(b + K2, 18) + c) & LOW, factor)
    e, f = _word(data, 16) * factor, _word(data, 24)
    g, h = (y + _word(data, size - 32)) * factor, (z + _word(data, size - 24)) * factor
    return _joined((_turned(e + f, 43) + _turned(g, 30) + h) & LOW, (e + _turned(f + a, 18) + g) & LOW, factor)


def _weak(data: bytes, start: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_word(data, start + 8 * place) for place in range(4))
    a += w
    b = _turned(b + a + z, 21)
    c = a
    a += x + y
    return (a + z) & LOW, (b + _turned(a, 44) + c) & LOW


def _long(data: bytes) -> int:
    """More than 64 bytes: all blocks but the last, then the last 64 bytes."""
    size = len(data)
    y = (81 * K1 + 113) & LOW
    state = (81 * K2 + _word(data, 0) & LOW, y, _mixed(y * K2 + 113) * K2 & LOW, (0, 0), (0, 0))
    for start in range(0, (size - 1) // BLOCK * BLOCK, BLOCK):
        state = _round(data, start, state, K1, 1)
    x, y, z, v, w = state
    factor = K1 + ((z & 0xFF) << 1)
    first = w[0] + ((size - 1) & (BLOCK - 1))
    v = (v[0] + first, v[1])
    x, y, z, v, w = _round(data, size - BLOCK, (x, y, z, v, (first + v[0], w[1])), factor, 9)
    return _joined((_joined(v[0], w[0], factor) + _mixed(y) * K0 + z) & LOW, (_joined(v[1], w[1], factor) + x) & LOW,
                   factor)


State = tuple[int, int, int, tuple[int, int], tuple[int, int]]


def _round(data: bytes, start: int, state: State, factor: int, more: int) -> State:
    x, y, z, v, w = state
    x = _turned(x + y + v[0] + _word(data, start + 8), 37) * factor
    y = _turned(y + v[1] + _word(data, start + 48), 42) * factor
    x = (x ^ w[1] * more) & LOW
    y = (y + v[0] * more + _word(data, start + 40)) & LOW
    z = _turned(z + w[0], 33) * factor & LOW
    v = _weak(data, start, v[1] * factor, x + w[0])
    w = _weak(data, start + 32, z + w[1], y + _word(data, start + 16))
    return z, y, x, v, w


def keyed(data: bytes, first: int, second: int) -> int:
    """64 bits that depend on a key of two 64-bit numbers as well."""
    first, second = first & LOW, second & LOW
    v = [first ^ 0x736F6D6570736575, second ^ 0x646F72616E646F6D, first ^ 0x6C7967656E657261,
         second ^ 0x7465646279746573]
    whole = len(data) // 8 * 8
    words = [_word(data, start) for start in range(0, whole, 8)]
    for word in [*words, _word(data, whole) | (len(data) & 0xFF) << 56]:
        v[3] ^= word
        _stir(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _stir(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _stir(v: list[int], rounds: int) -> None:
    for _ in range(rounds):
        for a, b, left, half in ((0, 1, 13, True), (2, 3, 16, False), (0, 3, 21, False), (2, 1, 17, True)):
            v[a] = (v[a] + v[b]) & LOW
            v[b] = _turned(v[b], 64 - left) ^ v[a]
            if half:
                v[a] = _turned(v[a], 32)
