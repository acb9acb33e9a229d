"""Random numbers inside compute kernels are those of `engine.random`."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from engine import random
from engine.codegen.builder import Code
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.kernels import philox

KEYS = [(11, random.DROPOUT + 3, 5, 0), (2**40 + 7, random.AUGMENTATION, -1, 2**33 + 9), (0, 0, 0, 0)]


@compiled
def drawn() -> str:
    """args: words, numbers, then the key."""
    code = Code("drawn", host().lanes)
    words, numbers, key = code.pointer(0), code.pointer(1), (code.arg(2), code.arg(3), code.arg(4), code.arg(5))
    with code.loop(code.begin, code.end) as number:
        for place, made in enumerate(philox.group(code, number.index, key)):
            at = number.index * philox.GROUP + place * code.lanes
            code.store(made, code.at(words, at, "uint32"), "uint32")
            code.store(philox.unit(code, made), code.at(numbers, at))
    return code.finish()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("lanes", [16, 8, 4])
def test_groups_of_words_and_numbers_between_0_and_1(key, lanes, monkeypatch):
    if lanes > host().lanes:
        pytest.skip(f"this processor's vectors have {host().lanes} lanes")
    monkeypatch.setenv("STOKER_KERNEL_LANES", str(lanes))
    words, numbers = np.empty(20 * philox.GROUP, np.uint32), np.empty(20 * philox.GROUP, np.float32)
    args = np.array([words.ctypes.data, numbers.ctypes.data, *key], np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(drawn())(args.ctypes.data, 0, 20)
    np.testing.assert_array_equal(words, random.bits(key, words.size))
    np.testing.assert_array_equal(numbers, random.uniform(key, numbers.size))
