"""Dropout (Srivastava et al., 2014).

Its mask is a function of (seed, step, layer): it is drawn again where it is needed, and never stored. An element takes
half a random word, so the rate is one of 2^16; what is kept is scaled by the rate taken, and the mean is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, op
from engine.random import DROPOUT, dropping, halves
from engine.types import Type

REFERENCE_STATE = (11, 5)
"""Seed and step that the conformance tests bind."""


@op("dropout")
class Dropout(Op):
    """x / (1 - rate) where the element's random number is at least `rate`, else 0. `stream` is the layer's own number.

    The second input is the run's state, which holds seed and step.
    """

    samples = (Sample(((3, 70),), {"rate": 0.4, "stream": 3}), Sample(((9, 1001),), {"rate": 0.1, "stream": 7}),
               Sample(((5, 4, 4, 3),), {"rate": 0.5, "stream": 0}))
    stateful = True
    overwrites: ClassVar[Mapping[int, int]] = {0: 0}

    def infer(self, *types: Type, rate: float, stream: int) -> tuple[Type, ...]:
        return (types[0],)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return (b.op("dropout", g, node.inputs[1], **node.attrs), None)

    def reference(
        self, *arrays: np.ndarray, rate: float, stream: int, state: tuple[int, int] = REFERENCE_STATE
    ) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        seed, step = state
        drawn = halves((seed, DROPOUT + stream, step, 0), x.size).reshape(x.shape)
        dropped, factor = dropping(rate)
        return (np.where(drawn >= dropped, x * np.float32(factor), 0).astype(x.dtype),)

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("random", "dropout", node.inputs, node.outputs, node.attrs)]
