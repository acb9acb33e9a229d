"""ONNX files read under limits: one protobuf message, nothing beside it, nothing that is executed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from engine.errors import WeightsError, show

MAX_BYTES = 2 << 30
"""What protobuf takes in one message."""
MAX_NODES = 20_000
OLDEST_OPSET = 9
MAX_RANK = 8
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
INTEGERS = {onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.UINT8,
            onnx.TensorProto.INT8, onnx.TensorProto.INT16, onnx.TensorProto.UINT16}
Array = np.ndarray[Any, Any]


def read_model(path: Path) -> onnx.ModelProto:
    """The message in a file. Raises WeightsError for one that is no model, or is one with what is never taken."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise WeightsError(f"expected an ONNX file of at most {MAX_BYTES} bytes, received {size}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        raise WeightsError("expected an ONNX file, received a damaged one") from None
    if not model.graph.node:
        raise WeightsError("expected an ONNX model with nodes, received none")
    if len(model.graph.node) > MAX_NODES:
        raise WeightsError(f"expected an ONNX model of at most {MAX_NODES} nodes, received {len(model.graph.node)}")
    if model.functions:
        raise WeightsError(f"expected an ONNX model without functions of its own, received "
                           f"{show(model.functions[0].name)}")
    if model.graph.sparse_initializer:
        raise WeightsError("expected dense tensors, received a sparse one")
    if not all(isinstance(text, str) for text in _texts(model)):
        raise WeightsError("expected names in UTF-8, received other bytes")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise WeightsError(f"expected an ONNX model of opset {OLDEST_OPSET} or newer, received opset {opset}")
    return model


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    """Every name: protobuf hands out those that are no text as bytes."""
    graph = model.graph
    yield from (graph.name, model.producer_name, *(entry.domain for entry in model.opset_import))
    yield from (each.name for each in (*graph.initializer, *graph.input, *graph.output))
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def array_of(tensor: onnx.TensorProto, left: int = MAX_BYTES) -> Array:
    """A tensor's numbers: floats in float32, others in int64. Raises WeightsError."""
    at = f"tensor {show(tensor.name)}"
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise WeightsError(f"{at}: expected its numbers in the file, received a reference to another file, which is "
                           "never followed (export with external_data=False, or save the model in one file)")
    if tensor.data_type not in FLOATS | INTEGERS:
        raise WeightsError(f"{at}: expected numbers, received ONNX's type {tensor.data_type}")
    dims = tuple(tensor.dims)
    if len(dims) > MAX_RANK or any(dim < 0 for dim in dims) or math.prod(dims) * 4 > left:
        raise WeightsError(f"{at}: expected at most {MAX_RANK} dimensions within the file's size, received {dims[:9]}")
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{at}: expected {dims}, received other numbers ({str(error)[:80]})") from None
    return np.asarray(array, np.float32 if tensor.data_type in FLOATS else np.int64)
