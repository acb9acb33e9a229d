"""A layer whose kernel has a largest singular value of 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cells.base import name_of
from engine.graph.ir import GraphBuilder, Value
from engine.initializers.random import TruncatedNormal
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, type_name, within
from engine.options import inner, integer, option
from engine.registry import register

SHARPEST = 1e7
"""Vectors are multiplied with at most this to have length 1, as Keras's `normalize` does."""
KERNELS = ("kernel", "embeddings")


@register("layer")
@dataclass(frozen=True, kw_only=True)
class SpectralNormalization(Layer):
    """A layer whose kernel, or table of embeddings, each training step first divides by its largest singular value.

    That is estimated by `power_iterations` from a vector that lives on from step to step (Miyato et al., ICLR 2018).
    As in Keras no gradient passes through the division, and the kernel is left alone outside of training and while it
    is zero; here also while the layer is frozen, and in a step's second call.
    Input shape: the layer's. Output shape: the layer's.
    """

    layer: Any = option(inner("layer"))
    power_iterations: int = option(integer(minimum=1, maximum=1000), default=1)

    samples = (LayerSample({"layer": {"type": "Dense", "units": 3}}, ((4,),), (3,), 18),
               LayerSample({"layer": {"type": "Conv2D", "filters": 2, "kernel_size": 2}, "power_iterations": 3},
                           ((4, 4, 1),), (3, 3, 2), 12),
               LayerSample({"layer": {"type": "Embedding", "input_dim": 5, "output_dim": 2}}, ((3,),), (3, 2), 12, 5))

    def build(self, net: Net, *inputs: Value) -> Value:
        found: list[str] = []

        def change(name: str, weight: Value) -> Value:
            if name not in KERNELS:
                return weight
            found.append(name)
            vector = net.weight("vector_u", (1, weight.shape[-1]), TruncatedNormal(stddev=0.02), trainable=False)
            if not net.training or not net.trainable or weight.role != "parameter":
                return weight
            kernel, after = self.normalised(net.b, weight, vector)
            net.update(vector, after)
            return net.begin(weight, kernel)

        with net.changed(change), within("layer"), net.part(name_of(self.layer), self.layer):
            output = self.layer.build(net, *inputs)
        if not found:
            raise OptionMismatch("layer", "a layer with a kernel or embeddings of its own", type_name(self.layer))
        if isinstance(output, tuple):
            raise OptionMismatch("layer", "a layer of one output", type_name(self.layer))
        net.conclude(self.layer, inputs, (output,))
        net.masks.pop(output, None)  # Keras hands none on
        built: Value = output
        return built

    def normalised(self, b: GraphBuilder, weight: Value, vector: Value) -> tuple[Value, Value]:
        """The kernel divided by its largest singular value, and the vector after the iterations."""
        kernel, u = b.op("stop_gradient", weight), vector
        width = weight.shape[-1]
        matrix = b.op("reshape", kernel, shape=(int(np.prod(weight.shape[:-1])), width))
        for _ in range(self.power_iterations):
            v = unit(b, b.op("matmul", u, matrix, transpose_b=True))
            u = unit(b, b.op("matmul", v, matrix))
        sigma = b.op("reduce_sum", b.op("multiply", b.op("matmul", v, matrix), u), axes=(0, 1))
        some = b.op("reduce_sum", b.op("abs", matrix), axes=(0, 1))
        return b.op("where", some, b.op("divide", kernel, sigma), kernel), b.op("where", some, u, vector)

    def keras_attribute(self, part: str) -> str:
        return "layer" if part == name_of(self.layer) else str(self.layer.keras_attribute(part))

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """As the layer's own: its kernel is stored divided."""
        inside = f"{name_of(self.layer)}/"
        state: dict[str, np.ndarray[Any, Any]] = self.layer.torch_state(
            {name.removeprefix(inside): array for name, array in variables.items() if name.startswith(inside)})
        return state


def unit(b: GraphBuilder, x: Value) -> Value:
    """x divided by its length."""
    length = b.op("sqrt", b.op("reduce_sum", b.op("square", x), axes=(0, 1)))
    inverse = b.op("minimum", b.op("divide", b.constant(1.0), length), b.constant(SHARPEST))
    return b.op("multiply", x, inverse)
