"""What holds of every op's compute kernels: close to the reference, and the same bits however the work is shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import registry
from engine.ops.base import Sample, ShapeMismatch, find
from engine.types import Batch
from tests.engine.lowered import DIVISIONS, Division, lowered, same_bits, same_for_any_threads

TOLERANCE = 4e-6
"""Of the result's largest absolute value: float32 rounding and sums of a few thousand terms."""


def expected(op: str, arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    """The reference in float64."""
    doubled = [array.astype("float64") if array.dtype == "float32" else array for array in arrays]
    return [np.asarray(result) for result in find(op).reference(*doubled, **attrs)]


def assert_close(received: np.ndarray, wanted: np.ndarray, what: str, tolerance: float = TOLERANCE) -> None:
    """Integers are equal; floats differ by at most `tolerance` of the largest value; NaN and infinity are the same."""
    assert received.shape == wanted.shape, f"{what}: expected shape {wanted.shape}, received {received.shape}"
    if received.dtype.kind != "f":
        np.testing.assert_array_equal(received, wanted, err_msg=what)
        return
    finite = np.abs(wanted[np.isfinite(wanted)])
    np.testing.assert_allclose(
        received, wanted, rtol=tolerance, atol=tolerance * finite.max(initial=1e-30), err_msg=what
    )


def check(
    op: str,
    arrays: Sequence[np.ndarray],
    attrs: Mapping[str, Any],
    *,
    divisions: Sequence[Division] = DIVISIONS,
    tolerance: float = TOLERANCE,
) -> list[np.ndarray]:
    """Run the op's kernels and compare; returns the outputs."""
    outputs = same_for_any_threads(lowered(op, arrays, attrs), arrays, divisions)
    for index, (received, wanted) in enumerate(zip(outputs, expected(op, arrays, attrs), strict=True)):
        assert_close(
            received, wanted, f"{op} {[array.shape for array in arrays]} {dict(attrs)}, output {index}", tolerance
        )
    return outputs


def check_open_batch(
    op: str, arrays: Sequence[np.ndarray], attrs: Mapping[str, Any], outputs: Sequence[np.ndarray]
) -> bool:
    """The same bits with an open batch dimension and memory for more examples; False if the op cannot have one."""
    if not arrays or not arrays[0].ndim:
        return False
    if "shape" in attrs and attrs["shape"][0] == len(arrays[0]):
        attrs = {**attrs, "shape": (Batch(), *attrs["shape"][1:])}
    batched = [index for index, array in enumerate(arrays) if array.ndim and len(array) == len(arrays[0])]
    try:
        node = lowered(op, arrays, attrs, batched=batched, spare=5)
    except (ShapeMismatch, TypeError, ValueError):
        return False
    for one, other in zip(outputs, node.run(arrays), strict=True):
        assert same_bits(one, other), f"{op}: other bits with an open batch"
    return True


def sampled() -> list[tuple[str, Sample]]:
    """Every sample of every registered op."""
    return [(name, sample) for name in registry.entries("op") for sample in find(name).samples]


def check_sample(op: str, sample: Sample, divisions: Sequence[Division] = DIVISIONS) -> bool:
    """One sample, closed and open; returns whether it can have an open batch."""
    arrays = sample.arrays(1)
    return check_open_batch(op, arrays, sample.attrs, check(op, arrays, sample.attrs, divisions=divisions))
