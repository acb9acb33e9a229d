"""Random numbers inside compute kernels are those of `engine.random`."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from engine import random
from engine.kernels import philox

KEYS = [(11, random.DROPOUT + 3, 5, 0), (2**40 + 7, random.AUGMENTATION, -1, 2**33 + 9), (0, 0, 0, 0)]


@njit(error_model="numpy")
def drawn(words, numbers, seed, stream, a, b):
    for number in range(words.shape[0]):
        philox.group(words[number], number, seed, stream, a, b)
        for index in range(64):
            numbers[number, index] = philox.unit(words[number, index])


@pytest.mark.parametrize("key", KEYS)
def test_groups_of_words_and_numbers_between_0_and_1(key):
    words, numbers = np.empty((20, philox.GROUP), np.uint32), np.empty((20, philox.GROUP), np.float32)
    drawn(words, numbers, *key)
    np.testing.assert_array_equal(words.ravel(), random.bits(key, words.size))
    np.testing.assert_array_equal(numbers.ravel(), random.uniform(key, numbers.size))


def test_groups_are_made_by_vector_instructions():
    """A group is 16 blocks at a time; one by one it takes more than ten times as long."""
    import platform

    if platform.machine() != "x86_64":
        pytest.skip("looks for the names of x86's instructions")
    drawn(np.empty((1, 64), np.uint32), np.empty((1, 64), np.float32), *KEYS[2])
    (assembly,) = drawn.inspect_asm().values()
    assert assembly.count("pmuludq") >= 4
