"""The order of numbers."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, Sample, expect_dtype, expect_rank, op
from engine.types import Type


@op("rank")
class Rank(Op):
    """y[i] = how many of (count,) numbers are smaller than x[i], or equal and before it. No gradient.

    Of random numbers that is a random order of 0 to count - 1. Every number is compared with every other one.
    """

    samples = (Sample(((7,),), differentiable=()), Sample(((50,),), integers={0: 9}, differentiable=()),
               Sample(((1,),), differentiable=()))

    def infer(self, *types: Type) -> tuple[Type, ...]:
        (x,) = types
        expect_rank(x, 1, "(count,)")
        expect_dtype(x, "float32", "float64")
        return (x,)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        return (np.argsort(np.argsort(x, kind="stable")).astype(x.dtype),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("rank", "rank", node.inputs, node.outputs)]
