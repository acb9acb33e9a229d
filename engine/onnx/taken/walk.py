"""From an ONNX graph to a native definition and its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engine.errors import WeightsError, show
from engine.onnx.taken import elementwise, layers, recurrent, windows
from engine.onnx.taken.constants import FOLDS, fold
from engine.onnx.taken.file import FLOATS, INTEGERS, array_of, opset_of, read_model
from engine.onnx.taken.flow import Array, Constant, Flow, Shape, channels_last, straight
from engine.onnx.taken.node import OPERATORS, Node, Outputs, Taken
from engine.onnx.taken.sketch import Sketch

KINDS = (elementwise, layers, recurrent, windows)
"""The modules that declare operators."""
IMAGES = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample",
          "BatchNormalization", "InstanceNormalization", "GroupNormalization"}
"""Operators whose inputs have channels first."""
_SEEN_THROUGH = {"Identity", "Cast", "Dropout", "Pad", "Add", "Sub", "Mul", "Div", "Relu", "Clip", "LeakyRelu"}
_DOMAINS = ("", "ai.onnx")
_UNREAD = {"Constant", "Shape"}
"""Operators that are read here."""


def take_onnx(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """A file's definition and weights. Raises WeightsError that names the node at fault."""
    model = read_model(path)
    _refuse_unknown(model.graph)
    return _Walk(model).read()


def _refuse_unknown(graph: onnx.GraphProto) -> None:
    """Operators that have no layer, all together."""
    unknown: dict[str, str] = {}
    for node in graph.node:
        name = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
        if name not in OPERATORS and name not in FOLDS and name not in _UNREAD:
            unknown.setdefault(name, node.name or (node.output[0] if node.output else ""))
    if unknown:
        found = ", ".join(f"{show(name, 60)} (node {show(node, 80)})" for name, node in list(unknown.items())[:10])
        raise WeightsError(f"operators that no layer here computes: {found}; there are "
                           f"{', '.join(sorted(OPERATORS))}")


class _Walk:
    """Goes through one graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph, self.opset = model.graph, opset_of(model)
        self.producer = model.producer_name
        self.sketch = Sketch(model.graph.name or "model")
        self.values: dict[str, Taken] = {}
        self.reads = Counter(name for node in self.graph.node for name in node.input)
        self.reads.update(output.name for output in self.graph.output)
        self.batch: int | None = None

    def read(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """The definition and the weights of what leads to the outputs."""
        for tensor in self.graph.initializer:
            self.values[tensor.name] = Constant(array_of(tensor), tensor.name)
            self.sketch.reserve(tensor.name)
        for info in self.graph.input:
            if info.name not in self.values:
                self.values[info.name] = self._input(info)
        for proto in self.graph.node:
            self._node(proto)
        outputs: dict[str, Flow] = {}
        for output in self.graph.output:
            value = self.values.get(output.name)
            if not isinstance(value, Flow) or not value.layer:
                raise WeightsError(f"output {show(output.name)}: expected a value that a layer computes, received "
                                   f"{'none' if value is None else 'a constant'}")
            if value.batch:
                raise WeightsError(f"output {show(output.name)}: expected the batch in front, received it as dimension "
                                   f"{value.batch}")
            outputs["".join("_" if char in "/:" else char for char in output.name) or "output"] = value
        return self.sketch.definition(outputs), self.sketch.tensors

    def _input(self, info: onnx.ValueInfoProto) -> Flow:
        kind, at = info.type.tensor_type, f"input {show(info.name)}"
        if not info.type.HasField("tensor_type") or kind.elem_type not in FLOATS | INTEGERS:
            raise WeightsError(f"{at}: expected a tensor of numbers")
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        if len(dims) < 2:
            raise WeightsError(f"{at}: expected (batch, …), received rank {len(dims)}")
        if self.batch is None:
            self.batch = dims[0]
        shape = []
        for place, dim in enumerate(dims[1:], 1):
            if dim is None or dim < 1:
                raise WeightsError(f"{at}: expected a fixed size of dimension {place}, received an open one (only the "
                                   "batch may be open)")
            shape.append(int(dim))
        return self.sketch.input(info.name, tuple(shape), self._order(info.name, tuple(shape)))

    def _order(self, name: str, shape: Shape) -> tuple[int, ...]:
        """Channels come last in what goes into convolutions; or, if nothing tells, in PyTorch's images."""
        if len(shape) < 2:
            return straight(len(shape))
        left, seen, transposed = [name], {name}, False
        while left:
            value = left.pop()
            for node in self.graph.node:
                if value not in node.input:
                    continue
                if node.op_type in IMAGES and node.input[0] == value:
                    return channels_last(len(shape))
                transposed = transposed or node.op_type == "Transpose"
                if node.op_type in _SEEN_THROUGH and node.output[0] not in seen:
                    seen.add(node.output[0])
                    left.append(node.output[0])
        images = len(shape) == 3 and not transposed and self.producer == "pytorch"
        return channels_last(3) if images else straight(len(shape))

    def _node(self, proto: onnx.NodeProto) -> None:
        name = proto.name or (proto.output[0] if proto.output else proto.op_type)
        try:
            value = self._value(proto, name)
        except WeightsError as error:
            raise error if str(error).startswith("node ") else WeightsError(
                f"node {show(name)} ({proto.op_type}): {error}") from None
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, ZeroDivisionError, MemoryError) as error:
            raise WeightsError(f"node {show(name)} ({proto.op_type}): expected inputs and attributes as ONNX describes "
                               f"the operator, received others ({type(error).__name__}: {str(error)[:100]})") from None
        values = value if isinstance(value, list) else [value]
        for place, output in enumerate(proto.output):
            if place < len(values):
                if (found := values[place]) is not None:
                    self.values[output] = found
            elif output and self.reads[output] and not self._statistic(proto.op_type):
                raise WeightsError(f"node {show(name)} ({proto.op_type}): expected {len(values)} outputs, received a "
                                   f"use of output {place}")

    def _statistic(self, operator: str) -> bool:
        """Whether further outputs are those of training, which begins anew here."""
        return operator in ("BatchNormalization", "Dropout")

    def _value(self, proto: onnx.NodeProto, name: str) -> Outputs:
        attributes = _attributes(proto)
        inputs = [self._read(given) if given else None for given in proto.input]
        if proto.op_type == "Constant":
            return Constant(np.asarray(_constant(attributes)))
        if proto.op_type == "Shape" and isinstance(inputs[0], Flow):
            return Constant(np.array(inputs[0].whole[slice(attributes.get("start"), attributes.get("end"))], np.int64))
        known = [value for value in inputs if value is not None]
        arrays = [value.array for value in known if isinstance(value, Constant)]
        if len(arrays) == len(known) and known:
            folded = fold(proto.op_type, arrays, attributes)
            if folded is not None:
                names = [value.name for value in known if isinstance(value, Constant) and value.name]
                return Constant(folded, names[0] if len(names) == 1 else "")
        take = OPERATORS.get(proto.op_type)
        if take is None:
            raise WeightsError("expected constants as inputs, received a computed value")
        alone = frozenset(place for place, given in enumerate(proto.input) if self.reads[given] == 1)
        wanted = frozenset(place for place, output in enumerate(proto.output) if output and self.reads[output])
        return take(Node(self.sketch, proto.op_type, name, inputs, attributes, self.opset, alone, wanted))

    def _read(self, name: str) -> Taken:
        if name not in self.values:
            raise WeightsError(f"expected inputs that stand before, received {show(name)}")
        return self.values[name]


def _attributes(proto: onnx.NodeProto) -> Mapping[str, Any]:
    """Numbers, texts and tensors; graphs inside are refused."""
    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        kind = attribute.type
        if kind == onnx.AttributeProto.TENSOR:
            found[attribute.name] = array_of(attribute.t)
        elif kind == onnx.AttributeProto.STRING:
            found[attribute.name] = attribute.s.decode("utf-8", "replace")[:100]
        elif kind in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.INT, onnx.AttributeProto.INTS,
                      onnx.AttributeProto.FLOATS):
            value = onnx.helper.get_attribute_value(attribute)
            found[attribute.name] = list(value) if kind in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS) \
                else value
        elif kind == onnx.AttributeProto.STRINGS:
            found[attribute.name] = [text.decode("utf-8", "replace")[:100] for text in attribute.strings[:100]]
        else:
            raise WeightsError(f"attribute {show(attribute.name)}: expected numbers, texts or a tensor")
    return found


def _constant(attributes: Mapping[str, Any]) -> Any:
    for name, dtype in (("value", None), ("value_float", np.float32), ("value_floats", np.float32),
                        ("value_int", np.int64), ("value_ints", np.int64)):
        if name in attributes:
            return np.asarray(attributes[name], dtype)
    raise WeightsError("expected a value of numbers")
