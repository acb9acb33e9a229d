"""Elementwise chains over operands of any rank that broadcast in any dimension."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.lowered import WHOLE, Division, lowered, same_for_any_threads

BODY = (("multiply", (0, 1), ()), ("add", (3, 2), ()))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from([1, 2, 3, 17]), min_size=1, max_size=8), st.data())
def test_three_operands(shape, data):
    shape = shape if np.prod(shape) < 200_000 else [min(dim, 3) for dim in shape]
    random = np.random.default_rng(0)
    arrays = [random.standard_normal([dim if data.draw(st.booleans()) else 1 for dim in shape]).astype("float32")
              for _ in range(3)]
    node = lowered("fused", arrays, {"body": BODY})
    (received,) = same_for_any_threads(node, arrays, (WHOLE, Division(4, single=True, backwards=True)))
    product = (arrays[0] * arrays[1]).astype("float32")
    np.testing.assert_array_equal(received, product + arrays[2])


def test_a_border_around_many_dimensions():
    x = np.random.default_rng(0).standard_normal((2, 2, 3, 2, 2)).astype("float32")
    (received,) = lowered("pad", [x], {"padding": ((1, 0),) * 5}).run([x])
    np.testing.assert_array_equal(received, np.pad(x, ((1, 0),) * 5))
