"""Another order of dimensions."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, ShapeMismatch, expect_dtype, op
from engine.types import Batch, Type


@op("transpose")
class Transpose(Op):
    """Dimension `permutation[i]` of the input as dimension i of the output; the open batch stays in front."""

    samples = (Sample(((3, 5, 7),), {"permutation": (0, 2, 1)}),
               Sample(((2, 3, 4, 5),), {"permutation": (0, 3, 1, 2)}),
               Sample(((2, 3, 1, 4, 5, 2),), {"permutation": (0, 4, 2, 5, 1, 3)}),
               Sample(((4, 3, 50),), {"permutation": (0, 1, 2)}),
               Sample(((2, 33, 18, 3),), {"permutation": (0, 2, 1, 3)}))

    def infer(self, *types: Type, permutation: tuple[int, ...]) -> tuple[Type, ...]:
        (x,) = types
        expect_dtype(x, "float32", "float64")
        if sorted(permutation) != list(range(x.rank)):
            raise ShapeMismatch(f"the dimensions 0 to {x.rank - 1}, each once", permutation)
        shape = tuple(x.shape[axis] for axis in permutation)
        if any(isinstance(dim, Batch) for dim in shape[1:]):
            raise ShapeMismatch("the batch in front", permutation)
        return (Type(shape, x.dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        permutation = node.attrs["permutation"]
        return (b.op("transpose", g, permutation=tuple(permutation.index(axis) for axis in range(len(permutation)))),)

    def reference(self, *arrays: np.ndarray, permutation: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        return (np.ascontiguousarray(arrays[0].transpose(permutation)),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("permute", "transpose", node.inputs, node.outputs, node.attrs)]

    def flops(self, node: Node) -> int:
        return 0
