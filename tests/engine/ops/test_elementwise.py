"""Elementwise chains: numpy's broadcasting, and fusion that changes no bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from engine.ops.base import find
from tests.engine.lowered import DIVISIONS, lowered, same_bits
from tests.engine.ops.checks import check

properties = settings(max_examples=60, deadline=None, derandomize=True, database=None)
EXACT = ["add", "subtract", "multiply", "maximum", "minimum", "greater", "greater_equal", "equal"]


def normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@properties
@given(mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, max_side=19), st.sampled_from(EXACT))
def test_two_operands_broadcast_as_in_numpy(shapes, op):
    x, y = (normal(shape, seed) for seed, shape in enumerate(shapes.input_shapes))
    (received,) = lowered(op, [x, y], {}).run([x, y])
    with np.errstate(all="ignore"):
        (wanted,) = find(op).reference(x, y)
    assert same_bits(received, wanted)


@properties
@given(mutually_broadcastable_shapes(num_shapes=3, min_dims=1, max_dims=4, max_side=17))
def test_three_operands_broadcast_in_one_pass(shapes):
    arrays = [normal(shape, seed) for seed, shape in enumerate(shapes.input_shapes)]
    check("fused", arrays, {"body": (("multiply", (0, 1), ()), ("add", (3, 2), ()))})


BODIES = st.lists(
    st.tuples(
        st.sampled_from(["add", "multiply", "maximum", "relu", "exp", "tanh", "sigmoid", "square", "negative"]),
        st.integers(0, 99),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=6,
)


@properties
@given(BODIES, st.sampled_from([(3, 17), (1, 5), (4, 16), (7, 33)]))
def test_a_fused_chain_has_the_bits_of_its_single_ops(steps, shape):
    arrays = [normal(shape, 0), normal(shape[1:], 1)]
    values, body = list(arrays), []
    for name, first, second in steps:
        arity = 2 if name in ("add", "multiply", "maximum") else 1
        chosen = tuple(index % len(values) for index in (first, second)[:arity])
        body.append((name, chosen, ()))
        operands = [values[index] for index in chosen]
        values += lowered(name, operands, {}).run(operands)
    (received,) = lowered("fused", arrays, {"body": tuple(body)}).run(arrays)
    assert same_bits(received, np.broadcast_to(values[-1], received.shape).copy())


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize("shape", [(5,), (3, 31), (70, 1, 17)])
def test_integers_become_floats(dtype, shape):
    x = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    check("scale", [x], {"factor": 1 / 255, "offset": -0.5})


@properties
@given(st.integers(1, 40_000), st.sampled_from(DIVISIONS))
def test_long_lines_are_cut_into_chunks_that_meet(size, division):
    x, y = normal((size,), 0), normal((), 1)
    assert same_bits(lowered("multiply", [x, y], {}).run([x, y], division)[0], x * y)
