"""Weighted sums along one dimension, with weights known at compile time.

Cropping, repeating, linear and cubic interpolation, means over uneven windows and reading backwards are all of this
kind, and so are their gradients.
"""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, op
from engine.types import Batch, Type, size

Taps = tuple[tuple[tuple[int, float], ...], ...]
"""For each position of the output: positions of the input and their weights, in the order in which they are added."""

LINEAR: Taps = (((0, 1.0),), ((0, 0.75), (1, 0.25)), ((1, 0.5), (2, 0.5)), (), ((2, 1.0), (0, -1.0), (1, 0.5)))


def transposed(taps: Taps, count: int) -> Taps:
    """The taps of the gradient: for each of `count` inputs the outputs that read it."""
    found: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for place, read in enumerate(taps):
        for source, weight in read:
            found[source].append((place, weight))
    return tuple(map(tuple, found))


@op("resample")
class Resample(Op):
    """y[…, o, …] = sum over (i, weight) of taps[o] of weight * x[…, i, …] along `axis`."""

    samples = (Sample(((2, 3, 4),), {"axis": 1, "taps": LINEAR}), Sample(((2, 5, 3),), {"axis": 2, "taps": LINEAR}),
               Sample(((3, 3, 70),), {"axis": 1, "taps": (((2, 1.0),), ((2, 1.0),), ((0, 1.0),))}))

    def infer(self, *types: Type, axis: int, taps: Taps) -> tuple[Type, ...]:
        (x,) = types
        expect_dtype(x, "float32", "float64")
        dim = x.shape[axis]
        if isinstance(dim, Batch) or not all(0 <= place < dim for read in taps for place, _ in read):
            raise ShapeMismatch(f"positions below {dim}", taps)
        return (Type((*x.shape[:axis], len(taps), *x.shape[axis + 1:]), x.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        axis = node.attrs["axis"]
        taps = transposed(node.attrs["taps"], node.inputs[0].shape[axis])
        return (b.op("resample", g, axis=axis, taps=taps),)

    def reference(self, *arrays: np.ndarray, axis: int, taps: Taps) -> tuple[np.ndarray, ...]:
        x = np.moveaxis(arrays[0], axis, 0)
        y = np.zeros((len(taps), *x.shape[1:]), x.dtype)
        for place, read in enumerate(taps):
            for source, weight in read:
                y[place] += x[source] * x.dtype.type(weight)
        return (np.ascontiguousarray(np.moveaxis(y, 0, axis)),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("resample", "resample", node.inputs, node.outputs, node.attrs)]

    def flops(self, node: Node) -> int:
        taps, outputs = node.attrs["taps"], node.outputs[0].shape
        return 2 * sum(map(len, taps)) * size(outputs, 1) // max(1, len(taps))
