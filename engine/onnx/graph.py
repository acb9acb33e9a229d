"""An ONNX graph under construction: names for values, nodes in order, arrays as initializers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.graph.ir import Value
from engine.types import Batch, Type

OPSET = 18
"""The first with all reductions' axes as inputs; ONNX Runtime has it since 1.14."""
IR_VERSION = 9
"""Of the file; what ONNX Runtime 1.17 and newer read."""
ELEMENTS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int32": TensorProto.INT32,
            "int64": TensorProto.INT64, "uint8": TensorProto.UINT8, "bool": TensorProto.BOOL}
BATCH = "batch"


class OnnxGraph:
    """Values are ONNX's names for them."""

    def __init__(self) -> None:
        self.names: dict[Value, str] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def declare(self, value: Value, name: str) -> None:
        """A value that is fed."""
        self.names[value] = name
        self.inputs.append(_info(name, value.type))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator that has one output of interest and return it."""
        (output,) = self.nodes(operator, inputs, 1, attributes)
        return output

    def nodes(self, operator: str, inputs: Sequence[str], outputs: int, attributes: Mapping[str, Any]) -> list[str]:
        """Apply an operator and return its outputs."""
        self._count += 1
        names = [f"{operator.lower()}_{self._count}" + (f"_{place}" if place else "") for place in range(outputs)]
        given = {name: value for name, value in attributes.items() if value is not None}
        self._nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], **given))
        return names

    def constant(self, data: Any, dtype: str = "float32", name: str = "") -> str:
        """An array that the file holds; equal ones without a name are held once."""
        array = np.ascontiguousarray(np.asarray(data, dtype)).reshape(np.shape(data))
        key = (dtype, array.shape, array.tobytes())
        if name or key not in self._constants:
            self._count += 1
            known = name or f"constant_{self._count}"
            self._initializers.append(numpy_helper.from_array(array, known))
            if name:
                return known
            self._constants[key] = known
        return self._constants[key]

    def integers(self, *numbers: int) -> str:
        """A vector of int64: axes, shapes."""
        return self.constant(numbers, "int64")

    def scan(self, states: Sequence[str], inputs: Sequence[str], step: Callable[[OnnxGraph, list[str], list[str]],
             Sequence[str]]) -> list[str]:
        """Go through the first dimension of all inputs; the states after each place, one behind the other.

        `step(graph, states, inputs)` writes one place into a graph of its own and gives the states after it.
        """
        body = OnnxGraph()
        body._count = self._count + 1
        given = [f"step_{body._count}_{place}" for place in range(len(states) + len(inputs))]
        new = list(step(body, given[:len(states)], given[len(states):]))
        shown = [body.node("Identity", name) for name in new]
        self._count = body._count
        any_shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (*given, *new, *shown)]
        graph = helper.make_graph(body._nodes, f"body_{self._count}", any_shape[:len(given)], any_shape[len(given):],
                                  body._initializers)
        found = self.nodes("Scan", [*states, *inputs], 2 * len(states),
                           {"body": graph, "num_scan_inputs": len(inputs)})
        return found[len(states):]

    def finish(self, name: str, outputs: Mapping[str, Value], documentation: Mapping[str, str]) -> onnx.ModelProto:
        """The model with its outputs by name; `documentation` goes into its metadata."""
        for output, value in outputs.items():
            self._nodes.append(helper.make_node("Identity", [self.names[value]], [output], name=f"output {output}"))
        graph = helper.make_graph(self._nodes, name, self.inputs,
                                  [_info(output, value.type) for output, value in outputs.items()], self._initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="stoker")
        helper.set_model_props(model, dict(documentation))
        return model


def _info(name: str, type: Type) -> onnx.ValueInfoProto:
    shape = [(BATCH if dim.factor == 1 else f"{dim.factor} {BATCH}") if isinstance(dim, Batch) else dim
             for dim in type.shape]
    return helper.make_tensor_value_info(name, ELEMENTS[type.dtype], shape)
