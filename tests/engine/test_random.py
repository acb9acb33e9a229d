"""engine/random.py against the published test vectors of Philox4x32-10, and the promises of its own file."""

from __future__ import annotations

import numpy as np
import pytest

from engine import random

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(("counter", "key", "expected"), [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
])
def test_known_answers_of_random123(counter, key, expected):
    assert tuple(int(word) for word in random.philox(counter, key)) == expected


def test_words_lie_in_groups_of_sixteen_blocks():
    words = random.bits((7, 3, 11, 13), 200)
    for position in (0, 5, 16, 63, 64, 130, 199):
        group, rest = divmod(position, 64)
        word, lane = divmod(rest, 16)
        assert words[position] == random.philox((16 * group + lane, 0, 11, 13), (7, 3))[word]


def test_a_longer_draw_extends_a_shorter_one():
    np.testing.assert_array_equal(random.bits((1, 2, 3, 4), 10), random.bits((1, 2, 3, 4), 1000)[:10])


def test_array_keys_are_the_keys_one_by_one():
    examples = np.arange(5, dtype=np.int64)
    together = random.bits((9, 1, 2, examples), 70)
    assert together.shape == (5, 70)
    for example in range(5):
        np.testing.assert_array_equal(together[example], random.bits((9, 1, 2, example), 70))


def test_every_part_of_the_key_counts_and_negative_seeds_wrap():
    first = random.bits((1, 2, 3, 4), 8)
    for key in [(0, 2, 3, 4), (1, 0, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0)]:
        assert (random.bits(key, 8) != first).any()
    np.testing.assert_array_equal(random.bits((-1, 2, 3, 4), 8), random.bits((ONES, 2, 3, 4), 8))


def test_uniform_fills_zero_to_one_evenly():
    values = random.uniform((0, random.DROPOUT, 1, 1), 100_000)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert abs(counts - 10_000).max() < 500


def test_a_permutation_holds_every_row_once():
    order = random.permutation((0, random.SHUFFLE, 1, 0), 1000)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert (order != np.arange(1000)).sum() > 900
    assert random.permutation((0, random.SHUFFLE, 1, 0), 0).shape == (0,)


def test_halves_are_the_words_lower_and_upper_ones():
    key = (5, random.DROPOUT, 2, 0)
    words = random.bits(key, 128)
    expected = [half for group in words.reshape(2, 64) for half in (group & 0xFFFF, group >> 16)]
    assert np.array_equal(random.halves(key, 256), np.concatenate(expected))
    assert np.array_equal(random.halves(key, 201), np.concatenate(expected)[:201])


def test_dropping_keeps_the_mean_at_every_rate():
    for rate in (0.0, 1e-7, 0.1, 0.25, 0.5, 0.99, 1 - 1e-9):
        dropped, factor = random.dropping(rate)
        assert (2**16 - dropped) * factor == 2**16
        assert abs(dropped / 2**16 - rate) <= 2**-16
    kept = random.halves((1, random.DROPOUT, 1, 0), 100_000) >= random.dropping(0.1)[0]
    assert abs(kept.mean() - 0.9) < 0.005
