"""Every registered op by hand: the bits of a plan, forwards and backwards."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from engine import eager, registry
from engine.autodiff import gradients
from engine.eager import functions
from engine.eager.tape import Eager
from engine.graph.ir import GraphBuilder
from engine.lowering.plan import compile_plan
from engine.ops.base import Op, Sample, find
from engine.runtime.session import Session
from engine.runtime.threads import Workers
from engine.types import Type
from tests.engine.lowered import IDENTITY, same_bits, state_array
from tests.engine.ops.checks import sampled

SEED, STEP = 11, 5
"""Of the references' state."""


def case_id(value: object) -> str:
    return value if isinstance(value, str) else ""


def planned(b: GraphBuilder, arrays: list[np.ndarray], *, keep: bool) -> list[np.ndarray]:
    """The outputs of a finished graph of inputs x0, x1, …, as a plan computes them."""
    workers = Workers(1)
    try:
        session = Session(compile_plan(b.finish(), 1, keep=keep), {}, {}, workers)
        session.state[:] = state_array(seed=SEED, step=STEP)
        assert IDENTITY.size >= 4096
        for place, array in enumerate(arrays):
            session.feeds[f"x{place}"][...] = array
        session.run(1)
        return [session.fetch(name, 1) for name in b.outputs]
    finally:
        workers.close()


def declared(op: str, arrays: list[np.ndarray]) -> tuple[GraphBuilder, list]:
    b = GraphBuilder(op)
    return b, [b.input(f"x{place}", Type(array.shape, str(array.dtype))) for place, array in enumerate(arrays)]


@pytest.mark.parametrize("op", sorted({name for name, _ in sampled()}))
def test_an_op_by_hand_has_the_bits_of_a_plan(op):
    for sample in find(op).samples:
        if find(op).run_only:
            continue
        arrays = sample.arrays(1)
        b, inputs = declared(op, arrays)
        outputs = b.apply(op, *inputs, **sample.attrs)
        b.outputs.update({str(place): value for place, value in enumerate(outputs)})
        eager.seed(SEED, step=STEP)
        found = functions.function(op)(*arrays, **sample.attrs)
        again = functions.function(op)(*arrays, **sample.attrs) if not find(op).stateful else found
        for keep in (True, False):
            for received, repeated, wanted in zip(_several(found), _several(again), planned(b, arrays, keep=keep),
                                                  strict=True):
                assert same_bits(received.numpy(), wanted), (sample, keep)
                assert same_bits(repeated.numpy(), wanted), (sample, keep)


def _several(found):
    return found if isinstance(found, tuple) else (found,)


def differentiable() -> list[tuple[str, Sample]]:
    return [(name, sample) for name, sample in sampled()
            if type(find(name)).vjp is not Op.vjp and sample.differentiable != ()]


@pytest.mark.parametrize(("op", "sample"), differentiable(), ids=case_id)
def test_gradients_by_tape_have_the_bits_of_a_plans(op, sample):
    arrays = sample.arrays(2)
    wanted = [place for place, array in enumerate(arrays)
              if array.dtype == "float32" and (sample.differentiable is None or place in sample.differentiable)]
    b, inputs = declared(op, arrays)
    u = np.random.default_rng(3).standard_normal(b.apply(op, *inputs, **sample.attrs)[0].shape).astype("float32")

    def loss(build, values, factor):
        output = build.apply(op, *values, **sample.attrs)[0]
        return build.op("reduce_sum", build.op("multiply", output, factor), axes=tuple(range(u.ndim)))

    b, (*inputs, factor) = declared(op, [*arrays, u])  # not a constant: what is constant is folded by numpy
    found = gradients(b, loss(b, inputs, factor), [inputs[place] for place in wanted])
    b.outputs.update({str(place): value for place, value in enumerate(found)})
    eager.seed(SEED)
    values = [eager.parameter(array) if place in wanted else eager.tensor(array) for place, array in enumerate(arrays)]
    loss(Eager(step=STEP), values, eager.tensor(u)).backward()
    for keep in (True, False):
        for place, grad in zip(wanted, planned(b, [*arrays, u], keep=keep), strict=True):
            assert same_bits(values[place].grad.numpy(), grad), keep


def test_every_op_is_a_function_with_its_documentation():
    for name in registry.entries("op"):
        if find(name).run_only:
            with pytest.raises(AttributeError):
                getattr(eager, name)
            continue
        function = getattr(eager, name)
        assert function.__name__ == name and function.__doc__
        assert all(parameter.kind is not inspect.Parameter.VAR_KEYWORD
                   for parameter in inspect.signature(function).parameters.values())
    assert set(functions.names()) <= set(dir(eager))


def test_no_name_of_the_module_hides_an_op():
    assert not set(eager.__all__) & set(registry.entries("op"))


@pytest.mark.parametrize(("call", "words"), [
    (lambda: eager.matmul(np.ones((2, 3)), np.ones((2, 3))), "matmul(f32[2,3], f32[2,3]): expected 3 rows"),
    (lambda: eager.relu(), "relu(): expected"),
    (lambda: eager.add(np.ones(3)), "add(f32[3]): expected"),
    (lambda: eager.relu(np.ones(3), slope=1.0), "slope"),
    (lambda: eager.clip(np.ones(3)), "low"),
    (lambda: eager.reduce_sum(np.ones((2, 3)), axes=(2,)), "axes from -2 to 1"),
    (lambda: eager.reduce_sum(np.ones((2, 3)), axes=(0, -2)), "each once"),
    (lambda: eager.slice(np.ones(3), axis=0, start=0, stop=4), "expected a part of 0 to 3"),
    (lambda: eager.add(np.ones(2), np.ones(3)), "broadcast"),
    (lambda: eager.add(np.ones(2, "int32"), np.ones(2)), "dtype float32"),
    (lambda: eager.add(object(), 1.0), "expected numbers"),
    (lambda: eager.add("text", 1.0), "expected numbers"),
    (lambda: eager.tensor([2**40]), "whole numbers"),
])
def test_misuse_names_the_op_and_says_what_was_expected(call, words):
    with pytest.raises(eager.Misuse) as misuse:
        call()
    assert words in str(misuse.value)


def test_negative_axes_count_from_behind():
    x = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(eager.reduce_sum(x, axes=(-1,)).numpy(), x.sum(-1))
    np.testing.assert_array_equal(eager.concatenate(x, x, axis=-1).numpy(), np.concatenate([x, x], -1))


def test_an_op_is_prepared_once():
    x = eager.tensor(np.ones((3, 77), "float32"))
    eager.relu(x)
    before = eager.cached()
    for _ in range(5):
        eager.relu(x)
    after = eager.cached()
    assert (after.hits - before.hits, after.misses - before.misses) == (5, 0)


def test_zeros_of_both_signs_are_different_attributes():
    x = eager.tensor([1.0])
    both = [eager.scale(x, factor=factor).item() for factor in (0.0, -0.0, 0.0)]
    assert [np.signbit(number) for number in both] == [False, True, False]
