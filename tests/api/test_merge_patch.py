from __future__ import annotations

import pytest

from api.merge_patch import merge

# The examples of RFC 7396, appendix A, and the rule for things with a type.
CASES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    (
        {"optimizer": {"type": "Adam", "beta_1": 0.9, "learning_rate": 0.1}},
        {"optimizer": {"type": "SGD"}},
        {"optimizer": {"type": "SGD"}},
    ),
    (
        {"optimizer": {"type": "Adam", "beta_1": 0.9, "learning_rate": 0.1}},
        {"optimizer": {"type": "Adam", "beta_1": 0.8}},
        {"optimizer": {"type": "Adam", "beta_1": 0.8, "learning_rate": 0.1}},
    ),
    (
        {"optimizer": {"type": "Adam", "epsilon": 1}},
        {"optimizer": {"epsilon": 2}},
        {"optimizer": {"type": "Adam", "epsilon": 2}},
    ),
]


@pytest.mark.parametrize(("target", "patch", "result"), CASES)
def test_merge(target, patch, result):
    assert merge(target, patch) == result
