"""Every op with a derivative, against central differences in float64.

By random projection: for random u and d, the derivative of <u, f(x + t d)> at t = 0 is <gradient of <u, f>, d>, which
takes two evaluations instead of a whole Jacobian (Autograd's `test_util`).
"""

from __future__ import annotations

import numpy as np
import pytest

from engine import registry
from engine.autodiff import gradients
from engine.graph.interpret import interpret
from engine.graph.ir import Graph, GraphBuilder
from engine.graph.verify import verify
from engine.ops.base import Op, Sample, find
from engine.types import Type

STEP = 1e-6


def differentiable() -> list[tuple[str, Sample]]:
    return [
        (name, sample)
        for name in registry.entries("op")
        if type(find(name)).vjp is not Op.vjp
        for sample in find(name).samples
        if sample.differentiable != ()
    ]


def case_id(value: object) -> str:
    return value if isinstance(value, str) else ""


def projected(op: str, sample: Sample, seed: int) -> tuple[Graph, list[np.ndarray], list[int]]:
    """A float64 graph of <u, first output> and its gradients; the inputs; and which of them are differentiated."""
    drawn = [array.astype("float64") if array.dtype == "float32" else array for array in sample.arrays(seed)]
    b = GraphBuilder(op)
    inputs = [b.input(f"x{index}", Type(array.shape, str(array.dtype))) for index, array in enumerate(drawn)]
    output = b.apply(op, *inputs, **sample.attrs)[0]
    u = b.constant(np.random.default_rng(seed + 100).standard_normal(output.shape), "float64")
    loss = b.op("reduce_sum", b.op("multiply", output, u), axes=tuple(range(len(output.shape))))
    wanted = [
        index
        for index, array in enumerate(drawn)
        if array.dtype == "float64" and (sample.differentiable is None or index in sample.differentiable)
    ]
    found = gradients(b, loss, [inputs[index] for index in wanted])
    return b.finish(loss=loss, **{f"d{index}": grad for index, grad in zip(wanted, found, strict=True)}), drawn, wanted


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("op", "sample"), differentiable(), ids=case_id)
def test_gradients_equal_central_differences(op, sample, seed):
    graph, arrays, wanted = projected(op, sample, seed)
    verify(graph)
    direction = {
        index: np.random.default_rng(seed + 200 + index).standard_normal(arrays[index].shape) for index in wanted
    }

    def loss(step: float) -> float:
        moved = {
            f"x{index}": array + step * direction[index] if index in wanted else array
            for index, array in enumerate(arrays)
        }
        return float(interpret(graph, moved)["loss"])

    results = interpret(graph, {f"x{index}": array for index, array in enumerate(arrays)})
    for index in wanted:
        assert results[f"d{index}"].shape == arrays[index].shape
        assert results[f"d{index}"].dtype == np.float64
    analytic = sum(float((results[f"d{index}"] * direction[index]).sum()) for index in wanted)
    size = sum(float(np.abs(results[f"d{index}"] * direction[index]).sum()) for index in wanted)
    assert abs(analytic - (loss(STEP) - loss(-STEP)) / (2 * STEP)) <= 1e-7 * max(1.0, size)


def test_every_op_with_a_derivative_has_a_differentiable_sample_or_is_known_to_end_gradients():
    """Ops without one are those whose derivative is 0 or nowhere."""
    checked = {name for name, _ in differentiable()}
    without = {name for name in registry.entries("op") if type(find(name)).vjp is not Op.vjp} - checked
    assert without == {"argmax", "in_top_k", "one_hot", "histogram", "stop_gradient", "random_mask", "random_normal",
                       "random_uniform"}
