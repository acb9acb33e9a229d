"""Runs a graph by the ops' numpy references: slow, plain, in any precision; what compiled plans are tested against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.graph.ir import Graph, Value
from engine.types import Batch, concrete


def interpret(
    graph: Graph, feeds: Mapping[str, np.ndarray], parameters: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The graph's outputs by name, in float64 if the feeds and parameters are.

    `assign` writes into the arrays of `parameters`.
    """
    values: dict[Value, np.ndarray] = {
        value: np.asarray(feeds[value.name]) for value in graph.inputs if value.name in feeds
    }
    values |= {value: (parameters or {})[value.name] for value in graph.parameters if value.name in (parameters or {})}
    floats = [array.dtype for array in values.values() if array.dtype.kind == "f"]
    precision = np.result_type(*floats) if floats else np.dtype("float32")
    batch = next((len(values[value]) // value.shape[0].factor for value in graph.inputs
                  if value in values and value.shape and isinstance(value.shape[0], Batch)), 1)

    def read(value: Value) -> np.ndarray:
        if value.role == "constant":
            assert value.data is not None
            return value.data.astype(precision) if value.data.dtype.kind == "f" else value.data
        return values[value]

    for node in graph.nodes:
        arrays = [read(value) for value in node.inputs if value.role != "state"]
        values.update(zip(node.outputs, node.op.reference(*arrays, **closed(node.attrs, batch)), strict=True))
    return {name: read(value) for name, value in graph.outputs.items()}


def closed(attrs: Mapping[str, Any], batch: int) -> dict[str, Any]:
    """Attributes for so many examples: the batch dimension of a shape is a number."""
    return {name: concrete(value, batch) if name == "shape" else value for name, value in attrs.items()}
