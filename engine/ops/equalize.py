"""Even histograms."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, Sample, expect_dtype, expect_rank, expect_shape, op
from engine.types import Type

TOP = 255.0


@op("equalize")
class Equalize(Op):
    """x, and whole numbers below `bins`: where each element is counted and where it is looked up -> new elements.

    For each channel (the last of four dimensions): a bin's new element is the part of the elements counted up to it,
    the lowest bin left out, in rounded 255ths. A channel of one bin keeps its elements. No gradient.
    """

    samples = (Sample(((3, 4, 5, 2),) * 3, {"bins": 7}, integers={1: 7, 2: 7}, differentiable=()),
               Sample(((2, 3, 1, 1),) * 3, {"bins": 256}, integers={1: 1, 2: 1}, differentiable=()))

    def infer(self, *types: Type, bins: int) -> tuple[Type, ...]:
        x = types[0]
        expect_rank(x, 4, "(batch, height, width, channels)")
        for other in types:
            expect_dtype(other, "float32", "float64")
            expect_shape("places", other, x.shape)
        return (x,)

    def reference(self, *arrays: np.ndarray, bins: int) -> tuple[np.ndarray, ...]:
        x = arrays[0]
        counted, read = (np.where((places > 0) & (places < bins), places, 0).astype(np.int64) for places in arrays[1:])
        y = x.copy()
        for channel in range(x.shape[3]):
            counts = np.bincount(counted[..., channel].reshape(-1), minlength=bins)
            if np.count_nonzero(counts) > 1:
                total = np.cumsum(counts)
                lowest = counts[counts > 0][0]
                table = np.clip(np.round((total - lowest) * TOP / (total[-1] - lowest)), 0, TOP)
                y[..., channel] = table[read[..., channel]]
        return (y,)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("equalize", "equalize", node.inputs, node.outputs, node.attrs)]
