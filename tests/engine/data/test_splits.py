"""Splits: exact, disjoint, reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.readers import fields
from engine.data.splits import Split, apportion, divide, part_of, surprises
from engine.errors import DefinitionError
from engine.options import parse

FRACTIONS = st.sampled_from([0.0, 0.01, 0.1, 0.2, 0.25, 1 / 3, 0.45])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=300), FRACTIONS, FRACTIONS, st.booleans(),
       st.integers(0, 2**31 - 1))
def test_a_split_is_exact_disjoint_and_ascending(codes, validation, test, stratify, seed):
    codes = np.array([100] * 5 + codes + [100] * 7, np.int32)  # other splits' rows lie around
    given_splits = {"train": [5, len(codes) - 7]}
    split = Split(validation=validation, test=test, stratify=stratify)
    rows = divide(split, given_splits, codes, seed)
    assert list(rows) == ["train", "validation", "test"]
    every = np.concatenate(list(rows.values()))
    np.testing.assert_array_equal(np.sort(every), np.arange(5, len(codes) - 7))
    for chosen in rows.values():
        assert chosen.dtype == np.int64
        assert (np.diff(chosen) > 0).all()
    assert len(rows["train"]) > 0
    again = divide(split, given_splits, codes, seed)
    for name in rows:
        np.testing.assert_array_equal(rows[name], again[name])
    total = np.bincount(codes[5:-7], minlength=13)
    for name, fraction in (("validation", validation), ("test", test)):
        counts = np.bincount(codes[rows[name]], minlength=13)
        if stratify:
            assert (np.abs(counts - total * fraction) < 1).all()
            assert (np.bincount(codes[rows["train"]], minlength=13)[total > 0] > 0).all()
        else:
            others = len(rows["test"]) if name == "validation" else int(total.sum() * validation)
            assert counts.sum() == min(part_of(total.sum(), fraction), total.sum() - 1 - others)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), FRACTIONS)
def test_shares_are_off_by_less_than_one_and_exact_in_sum(counts, fraction):
    shares = apportion(counts, [0] * len(counts), fraction)
    assert all(abs(share - count * fraction) < 1 for share, count in zip(shares, counts, strict=True))
    assert all(share < count for share, count in zip(shares, counts, strict=True))
    if min(counts) > 1:
        assert sum(shares) == part_of(sum(counts), fraction)


def test_a_divisible_split_is_the_same_fraction_of_every_class():
    codes = np.repeat(np.arange(10, dtype=np.int32), 500)
    rows = divide(Split(validation=0.2, test=0.1, stratify=True), {"train": [0, 5000]}, codes, 0)
    np.testing.assert_array_equal(np.bincount(codes[rows["validation"]]), [100] * 10)
    np.testing.assert_array_equal(np.bincount(codes[rows["test"]]), [50] * 10)


def test_the_seed_decides_and_the_blocks_own_comes_first():
    codes = np.zeros(100, np.int32)

    def validation(split_seed, seed):
        return divide(Split(validation=0.3, seed=split_seed), {"train": [0, 100]}, codes, seed)["validation"].tolist()

    assert len(validation(None, 0)) == 30
    assert validation(None, 1) != validation(None, 2)
    assert validation(7, 1) == validation(7, 2) == validation(None, 7)


def test_given_splits_stay_and_validation_comes_out_of_train():
    rows = divide(Split(validation=0.5), {"train": [0, 10], "test": [10, 14]}, None, 0)
    assert rows["test"].tolist() == [10, 11, 12, 13]
    assert len(rows["validation"]) == 5
    assert set(rows["validation"].tolist()) < set(range(10))
    untouched = divide(Split(), {"train": [0, 10], "validation": [10, 12]}, None, 0)
    assert untouched["train"].tolist() == list(range(10))
    assert untouched["validation"].tolist() == [10, 11]


def test_classes_that_a_split_misses_are_named():
    codes = np.array([0, 0, 0, 1], np.int32)
    rows = {"train": np.array([0, 1]), "validation": np.array([2, 3]), "test": np.array([], np.int64)}
    assert surprises(rows, codes, ["cat", "dog"]) == ["class 'dog' has no examples in the train split"]


@pytest.mark.parametrize(("block", "pointer"), [
    ({"validation": 1}, "/split/validation"), ({"validation": -0.1}, "/split/validation"),
    ({"test": True}, "/split/test"),
    ({"validation": 0.6, "test": 0.4}, "/split"), ({"stratify": 1}, "/split/stratify"), ({"seed": -1}, "/split/seed"),
    ({"validate": 0.2}, "/split/validate"), ([], "/split"),
])
def test_bad_blocks_are_refused(block, pointer):
    with pytest.raises(DefinitionError) as caught:
        parse(fields(Split), block, "/split")
    assert caught.value.faults[0].pointer == pointer
