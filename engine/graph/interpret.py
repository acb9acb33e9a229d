"""Runs a graph by the ops' numpy references: slow, plain, in any precision.
What every compiled plan is tested against.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph.ir import Graph, Value


def interpret(
    graph: Graph, feeds: Mapping[str, np.ndarray], parameters: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The graph's outputs by name. In float64 if the feeds and parameters are; `assign` writes into `parameters`'
    arrays.
    """
    values: dict[Value, np.ndarray] = {
        value: np.asarray(feeds[value.name]) for value in graph.inputs if value.name in feeds
    }
    values |= {value: (parameters or {})[value.name] for value in graph.parameters if value.name in (parameters or {})}
    floats = [array.dtype for array in values.values() if array.dtype.kind == "f"]
    precision = np.result_type(*floats) if floats else np.dtype("float32")

    def read(value: Value) -> np.ndarray:
        if value.role == "constant":
            assert value.data is not None
            return value.data.astype(precision) if value.data.dtype.kind == "f" else value.data
        return values[value]

    for node in graph.nodes:
        arrays = [read(value) for value in node.inputs if value.role != "state"]
        values.update(zip(node.outputs, node.op.reference(*arrays, **node.attrs), strict=True))
    return {name: read(value) for name, value in graph.outputs.items()}
