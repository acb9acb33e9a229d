"""Random values that follow from (seed, step, layer) alone: masks of any shape, uniform and normal numbers."""

from __future__ import annotations

import numpy as np

from engine.graph.ir import GraphBuilder, Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Gradients, Op, Sample, op
from engine.ops.dropout import REFERENCE_STATE
from engine.random import DROPOUT, uniform
from engine.types import Shape, Type, size


class Random(Op):
    """The first input only says how many examples there are; the second is the run's state."""

    stateful = True

    def infer(self, *types: Type, shape: Shape, **attrs: float) -> tuple[Type, ...]:
        return (Type(shape, types[0].dtype),)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        return (None, None)

    def lower(self, node: Node) -> list[KernelRequest]:
        attrs = {name: value for name, value in node.attrs.items() if name != "shape"}
        return [KernelRequest("noise", self.name, node.inputs, node.outputs, attrs)]


@op("random_mask")
class RandomMask(Random):
    """`kept` with probability 1 - rate, else 0."""

    samples = (Sample(((3, 7),), {"shape": (3, 70), "rate": 0.4, "kept": 2.5, "stream": 3}, differentiable=()),
               Sample(((2, 4),), {"shape": (2, 1, 33), "rate": 0.1, "kept": 1.0, "stream": 0}, differentiable=()))

    def reference(self, *arrays: np.ndarray, shape: tuple[int, ...], rate: float, kept: float, stream: int,
                  state: tuple[int, int] = REFERENCE_STATE) -> tuple[np.ndarray, ...]:
        drawn = uniform((state[0], DROPOUT + stream, state[1], 0), size(shape, 1)).reshape(shape)
        return (np.where(drawn >= np.float32(rate), np.float32(kept), 0).astype(arrays[0].dtype),)


@op("random_uniform")
class RandomUniform(Random):
    """low + u (high - low), all in float32, u from 0 to below 1."""

    samples = (Sample(((3, 7),), {"shape": (3, 70), "low": -1.5, "high": 0.5, "stream": 4}, differentiable=()),
               Sample(((5, 4),), {"shape": (5, 1, 1, 1), "low": 0.0, "high": 1.0, "stream": 1}, differentiable=()))

    def reference(self, *arrays: np.ndarray, shape: tuple[int, ...], low: float, high: float, stream: int,
                  state: tuple[int, int] = REFERENCE_STATE) -> tuple[np.ndarray, ...]:
        drawn = uniform((state[0], DROPOUT + stream, state[1], 0), size(shape, 1)).reshape(shape)
        return ((np.float32(low) + drawn * (np.float32(high) - np.float32(low))).astype(arrays[0].dtype),)


@op("random_normal")
class RandomNormal(Random):
    """Normal numbers, from pairs of uniform ones (Box and Muller, 1958): of 64 words the first 32 and the others."""

    samples = (Sample(((3, 7),), {"shape": (3, 70), "mean": 1.0, "stddev": 0.5, "stream": 3}, differentiable=()),
               Sample(((5, 4),), {"shape": (5, 33), "mean": 0.0, "stddev": 2.0, "stream": 1}, differentiable=()))

    def flops(self, node: Node) -> int:
        return 40 * size(node.outputs[0].shape, 1)

    def reference(self, *arrays: np.ndarray, shape: tuple[int, ...], mean: float, stddev: float, stream: int,
                  state: tuple[int, int] = REFERENCE_STATE) -> tuple[np.ndarray, ...]:
        count = size(shape, 1)
        drawn = uniform((state[0], DROPOUT + stream, state[1], 0), -(-count // 32) * 64).astype(np.float64)
        first, second = np.moveaxis(drawn.reshape(-1, 2, 32), 1, 0)
        normal = np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second)
        return ((mean + stddev * normal.reshape(-1)[:count]).reshape(shape).astype(arrays[0].dtype),)
