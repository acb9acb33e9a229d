"""A trained model as an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from engine.data.apply import affine_of
from engine.definition.model import parse_model
from engine.errors import WeightsError
from engine.formats.base import Tensors
from engine.formats.metadata import KEY, Metadata
from engine.graph.ir import Graph, Value, rebuild
from engine.onnx.graph import OnnxGraph
from engine.onnx.operators import write_node
from engine.passes.dead import eliminate_dead
from engine.passes.fold import fold_constants
from engine.passes.pipeline import optimise
from engine.passes.share import share_common
from engine.programs import Pipeline, Stored, predict_program

LIMIT_BYTES = (1 << 31) - 1
"""What a single protobuf message may take."""


def onnx_model(metadata: Metadata, tensors: Tensors, *, preprocessing: bool = False) -> onnx.ModelProto:
    """The model's prediction with an open batch.

    Inputs are float32 as the model takes them or, with `preprocessing`, as the dataset holds them (pictures in uint8).
    Raises WeightsError for a model that ONNX cannot hold.
    """
    model = parse_model(metadata.definition, "")
    stored = {name: Stored(shape, "float32", None) for name, shape in model.inputs.items()}
    if preprocessing:
        stored = _stored(metadata, list(model.inputs))
    graph = _with_weights(predict_program(model, Pipeline(stored)).graph, tensors)
    graph = optimise(graph, (fold_constants, share_common, eliminate_dead))
    written = OnnxGraph()
    for value in graph.inputs:
        written.declare(value, value.name)
    for value in graph.constants():
        assert value.data is not None
        written.names[value] = written.constant(value.data, value.dtype, value.name)
    for node in graph.nodes:
        write_node(written, node)
    return written.finish(model.name, graph.outputs, {KEY: metadata.to_text()})


def _stored(metadata: Metadata, names: list[str]) -> dict[str, Stored]:
    """Inputs as the dataset holds them."""
    inputs = metadata.preprocessing.get("inputs", {})
    only = next(iter(inputs)) if len(inputs) == 1 else None
    found = {}
    for name in names:
        source = name if name in inputs else only
        written: Mapping[str, Any] = inputs[source] if source is not None else {"dtype": "float32", "parts": []}
        if source is None or (written["dtype"] != "uint8" and [part["steps"] for part in written["parts"]] != [[]]):
            raise WeightsError(f"preprocessing of input {name}: expected pictures, or one array without steps; what "
                               "is done to table columns ONNX cannot hold")
        found[name] = Stored(tuple(written["shape"]), written["dtype"], affine_of(metadata.preprocessing).get(source))
    return found


def _with_weights(graph: Graph, tensors: Mapping[str, np.ndarray]) -> Graph:
    """The graph with its parameters as constants."""
    renamed = {value: Value(value.type, "constant", value.name, np.ascontiguousarray(tensors[value.name]))
               for value in graph.parameters}
    return rebuild(Graph(graph.name, graph.inputs, (), graph.nodes, graph.outputs), graph.nodes, renamed)


def write_onnx(model: onnx.ModelProto) -> bytes:
    """The checked file. Equal models give equal bytes. Raises WeightsError for one that protobuf cannot hold."""
    if model.ByteSize() > LIMIT_BYTES:
        raise WeightsError(f"expected a model of at most {LIMIT_BYTES} bytes for ONNX, received {model.ByteSize()}")
    onnx.checker.check_model(model, full_check=True)
    encoded: bytes = model.SerializeToString(deterministic=True)
    return encoded
