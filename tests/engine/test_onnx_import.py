"""ONNX graphs taken in: our predictions are those of ONNX's own reference, and what is odd or hostile is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from engine import formats
from engine.errors import DefinitionError, WeightsError
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret
from engine.onnx.export import onnx_model, write_onnx
from engine.starting import Starting, read_start
from tests.engine.test_keras_files import IMAGE, trained

RANDOM = np.random.default_rng(0)
Node = tuple[str, list[str], dict[str, Any]]


def array(*shape: int, positive: bool = False) -> np.ndarray:
    values = RANDOM.standard_normal(shape) / 2
    return (np.abs(values) + 0.5 if positive else values).astype(np.float32)


def model(shape: tuple[int, ...], nodes: list[Node], constants: dict[str, Any], *, opset: int = 18,
          element: int = TensorProto.FLOAT, producer: str = "") -> onnx.ModelProto:
    """Nodes as (operator, inputs, attributes); each gives `operator in lower case` + its place, the last one `y`."""
    made = [helper.make_node(operator, inputs, ["y" if place == len(nodes) - 1 else f"v{place}"],
                             name=f"node{place}", **attributes)
            for place, (operator, inputs, attributes) in enumerate(nodes)]
    graph = helper.make_graph(made, "graph", [helper.make_tensor_value_info("x", element, ["batch", *shape])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(values, name) for name, values in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9,
                             producer_name=producer)


def taken(proto: onnx.ModelProto, folder: Path) -> Starting:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return read_start(path)


def outcome(reference: Any, name: str, fed: np.ndarray) -> np.ndarray:
    """The only output of ONNX's own evaluation."""
    (expected,) = reference.run(None, {name: fed})
    return np.asarray(expected)


def check(proto: onnx.ModelProto, folder: Path, fed: np.ndarray) -> Starting:
    """The same predictions, images turned to and fro."""
    expected = outcome(ReferenceEvaluator(proto), "x", fed)
    start = taken(proto, folder)
    ((name, shape),) = start.model.inputs.items()
    ours = fed.astype(np.float32) if fed.shape[1:] == shape else np.moveaxis(fed, 1, -1)
    assert ours.shape[1:] == shape
    (found,) = interpret(forward_graph(start.model)[0], {name: ours}, dict(start.tensors)).values()
    if found.shape != expected.shape:
        found = np.moveaxis(found, -1, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    return start


def layers(start: Starting) -> list[str]:
    return [type(node.layer).__name__ for node in start.model.layers]


IMAGES: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "convolution with pads on one side": ([("Conv", ["x", "w", "b"], {"pads": [1, 0, 0, 1], "strides": [2, 1]})],
                                          {"w": array(5, 4, 3, 3), "b": array(5)}),
    "groups and dilation": ([("Conv", ["x", "w"], {"group": 2, "dilations": [2, 1], "pads": [2, 1, 2, 1]})],
                            {"w": array(6, 2, 3, 3)}),
    "depthwise": ([("Conv", ["x", "w", "b"], {"group": 4})], {"w": array(8, 1, 3, 3), "b": array(8)}),
    "same": ([("Conv", ["x", "w"], {"auto_pad": "SAME_UPPER", "strides": [2, 2]})], {"w": array(2, 4, 3, 3)}),
    "transposed": ([("ConvTranspose", ["x", "w", "b"], {"strides": [2, 2], "pads": [1, 0, 0, 1],
                                                       "output_padding": [1, 1]})],
                   {"w": array(4, 3, 3, 3), "b": array(3)}),
    "bias added later": ([("Conv", ["x", "w"], {}), ("Add", ["v0", "b"], {}), ("Relu", ["v1"], {})],
                         {"w": array(5, 4, 3, 3), "b": array(5, 1, 1)}),
    "batch normalization": ([("BatchNormalization", ["x", "g", "b", "m", "v"], {"epsilon": 1e-3})],
                            {"g": array(4), "b": array(4), "m": array(4), "v": array(4, positive=True)}),
    "pooling after a relu": ([("Relu", ["x"], {}), ("MaxPool", ["v0"], {"kernel_shape": [3, 3], "strides": [2, 2],
                                                                      "pads": [1, 1, 1, 1]})], {}),
    "ceil": ([("Relu", ["x"], {}), ("MaxPool", ["v0"], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1})],
             {}),
    "average with its border": ([("AveragePool", ["x"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1],
                                                        "count_include_pad": 1})], {}),
    "flatten and dense": ([("Flatten", ["x"], {}), ("Relu", ["v0"], {}), ("Gemm", ["v1", "w", "b"], {"transB": 1})],
                          {"w": array(3, 4 * 6 * 5), "b": array(3)}),
    "global": ([("GlobalAveragePool", ["x"], {}), ("Flatten", ["v0"], {}), ("MatMul", ["v1", "w"], {}),
                ("Add", ["b", "v2"], {}), ("Softmax", ["v3"], {})], {"w": array(4, 3), "b": array(3)}),
    "mean of axes": ([("Conv", ["x", "k"], {}), ("ReduceMean", ["v0", "a"], {"keepdims": 0})],
                     {"k": array(4, 4, 1, 1), "a": np.array([2, 3])}),
    "squeeze and excite": ([("GlobalAveragePool", ["x"], {}), ("Conv", ["v0", "w"], {}), ("Sigmoid", ["v1"], {}),
                            ("Mul", ["x", "v2"], {})], {"w": array(4, 4, 1, 1)}),
    "two ways": ([("Conv", ["x", "w"], {}), ("Transpose", ["v0"], {"perm": [0, 2, 3, 1]}), ("Sigmoid", ["v1"], {}),
                  ("Transpose", ["v2"], {"perm": [0, 3, 1, 2]}), ("Concat", ["v3", "v0"], {"axis": 1}),
                  ("Sub", ["v4", "v4"], {})], {"w": array(3, 4, 1, 1)}),
    "channels last inside": ([("Transpose", ["x"], {"perm": [0, 2, 3, 1]}), ("LayerNormalization", ["v0", "g", "b"],
                                                                           {}), ("MatMul", ["v1", "w"], {}),
                              ("Transpose", ["v2"], {"perm": [0, 3, 1, 2]})],
                             {"g": array(4), "b": array(4), "w": array(4, 2)}),
    "an order that matters": ([("Conv", ["x", "w"], {}), ("Reshape", ["v0", "s"], {}), ("MatMul", ["v1", "k"], {})],
                              {"w": array(4, 4, 1, 1), "s": np.array([0, 8, -1]), "k": array(15, 2)}),
    "vectors joined": ([("Conv", ["x", "w"], {}), ("Flatten", ["v0"], {}), ("Flatten", ["x"], {}),
                        ("Concat", ["v1", "v2"], {"axis": 1}), ("Gemm", ["v3", "k"], {})],
                       {"w": array(2, 4, 3, 3), "k": array(2 * 4 * 3 + 120, 3)}),
    "back to an image": ([("Conv", ["x", "w"], {}), ("Flatten", ["v0"], {}), ("Relu", ["v1"], {}),
                          ("Reshape", ["v2", "s"], {}), ("Conv", ["v3", "k"], {})],
                         {"w": array(2, 4, 1, 1), "k": array(3, 2, 3, 3), "s": np.array([-1, 2, 6, 5])}),
    "nearest": ([("Resize", ["x", "", "s"], {"mode": "nearest", "nearest_mode": "floor",
                                            "coordinate_transformation_mode": "asymmetric"})],
                {"s": np.array([1, 1, 2, 3], np.float32)}),
    "borders": ([("Pad", ["x", "p"], {}), ("Conv", ["v0", "w"], {})],
                {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "w": array(2, 4, 3, 3)}),
    "instance": ([("InstanceNormalization", ["x", "g", "b"], {})], {"g": array(4), "b": array(4)}),
    "slopes": ([("PRelu", ["x", "a"], {})], {"a": array(4, 1, 1)}),
    "channels of a softmax": ([("Conv", ["x", "w"], {}), ("Softmax", ["v0"], {"axis": 1})], {"w": array(3, 4, 1, 1)}),
    "scaled": ([("Sub", ["x", "m"], {}), ("Div", ["v0", "s"], {}), ("Conv", ["v1", "w"], {}), ("Mul", ["v2", "g"], {}),
                ("Add", ["v3", "o"], {})],
               {"m": array(4, 1, 1), "s": array(4, 1, 1, positive=True), "w": array(3, 4, 1, 1),
                "g": array(3, 1, 1), "o": array(3, 1, 1)})}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name, tmp_path):
    nodes, constants = IMAGES[name]
    producer = "pytorch" if name in ("flatten and dense", "channels last inside", "slopes") else ""
    check(model((4, 6, 5), nodes, constants, producer=producer), tmp_path, array(3, 4, 6, 5))


VECTORS: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "activations": ([(operator, ["x" if place == 0 else f"v{place - 1}"], attributes) for place, (operator, attributes)
                     in enumerate([("LeakyRelu", {"alpha": 0.2}), ("Elu", {}), ("Selu", {}), ("Softsign", {}),
                                   ("Softplus", {}), ("Tanh", {}), ("HardSigmoid", {"alpha": 1 / 6}), ("HardSwish", {}),
                                   ("Mish", {}), ("Neg", {}), ("Exp", {})])], {}),
    "limits": ([("Clip", ["x", "z", "six"], {}), ("Clip", ["v0", "low", "one"], {})],
               {"z": np.float32(0), "six": np.float32(6), "low": np.float32(-1), "one": np.float32(1)}),
    "gelu in parts": ([("Div", ["x", "r"], {}), ("Erf", ["v0"], {}), ("Add", ["v1", "one"], {}),
                       ("Mul", ["x", "v2"], {}), ("Mul", ["v3", "half"], {})],
                      {"r": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}),
    "gelu in other parts": ([("Mul", ["x", "half"], {}), ("Mul", ["x", "r"], {}), ("Erf", ["v1"], {}),
                             ("Add", ["v2", "one"], {}), ("Mul", ["v0", "v3"], {})],
                            {"r": np.float32(0.5**0.5), "one": np.float32(1), "half": np.float32(0.5)}),
    "silu": ([("Sigmoid", ["x"], {}), ("Mul", ["x", "v0"], {})], {}),
    "numbers": ([("Sub", ["c", "x"], {}), ("Mul", ["v0", "c"], {}), ("Div", ["v1", "c"], {}), ("Add", ["v2", "c"], {})],
                {"c": np.float32(3)}),
    "three values": ([("Relu", ["x"], {}), ("Max", ["x", "v0", "x"], {}), ("Sum", ["v1", "x", "v0"], {}),
                      ("Min", ["v2", "x"], {}), ("Mean", ["v3", "x"], {})], {}),
    "a computed shape": ([("Shape", ["x"], {}), ("Gather", ["v0", "zero"], {"axis": 0}),
                          ("Unsqueeze", ["v1", "ax"], {}),
                          ("Concat", ["v2", "rest"], {"axis": 0}), ("Reshape", ["x", "v3"], {}),
                          ("MatMul", ["v4", "w"], {}), ("Squeeze", ["v5", "last"], {})],
                         {"zero": np.int64(0), "ax": np.array([0]), "rest": np.array([2, 4]), "w": array(4, 1),
                          "last": np.array([2])}),
    "a matrix turned in the graph": ([("Transpose", ["w"], {"perm": [1, 0]}), ("MatMul", ["x", "v0"], {})],
                                     {"w": array(3, 8)})}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name, tmp_path):
    nodes, constants = VECTORS[name]
    check(model((8,), nodes, constants), tmp_path, array(3, 8))


def test_parts_of_activations_are_one_layer(tmp_path):
    for name, layer in (("gelu in parts", "Activation"), ("gelu in other parts", "Activation"), ("silu", "Activation")):
        assert layers(taken(model((8,), *VECTORS[name]), tmp_path)) == [layer]


def test_sequences(tmp_path):
    nodes: list[Node] = [("Conv", ["x", "w", "b"], {"pads": [2, 1], "strides": [2]}), ("Relu", ["v0"], {}),
                         ("MaxPool", ["v1"], {"kernel_shape": [2], "strides": [2]}), ("Flatten", ["v2"], {}),
                         ("Gemm", ["v3", "k"], {})]
    constants = {"w": array(5, 3, 4), "b": array(5), "k": array(5 * 5, 2)}
    start = check(model((3, 19), nodes, constants), tmp_path, array(2, 3, 19))
    assert layers(start) == ["ZeroPadding1D", "Conv1D", "ReLU", "MaxPooling1D", "Flatten", "Dense"]


def test_slices_and_places(tmp_path):
    nodes: list[Node] = [("Slice", ["x", "from", "to", "axes"], {}), ("Gather", ["v0", "last"], {"axis": 2}),
                         ("Slice", ["v1", "from", "far", "one"], {})]
    constants = {"from": np.array([1, -3]), "to": np.array([3, 1 << 40]), "axes": np.array([1, -1]),
                 "last": np.array(-2), "one": np.array([1, 2]), "far": np.array([9, 3])}
    check(model((4, 5, 6), nodes, constants), tmp_path, array(2, 4, 5, 6))


def test_attention_by_hand(tmp_path):
    """softmax(q k^T) v of (batch, heads, steps, features), heads taken apart and put together again."""
    nodes: list[Node] = []
    for name in "qkv":
        nodes += [("MatMul", ["x", name], {}), ("Reshape", [f"v{len(nodes)}", "apart"], {}),
                  ("Transpose", [f"v{len(nodes) + 1}"], {"perm": [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]})]
    nodes += [("MatMul", ["v2", "v5"], {}), ("Softmax", ["v9"], {"axis": -1}), ("MatMul", ["v10", "v8"], {}),
              ("Transpose", ["v11"], {"perm": [0, 2, 1, 3]}), ("Reshape", ["v12", "together"], {}),
              ("MatMul", ["v13", "o"], {}), ("Sin", ["v14"], {})]
    constants = {**{name: array(6, 6) for name in "qkvo"}, "apart": np.array([0, 0, 2, 3]),
                 "together": np.array([0, 0, 6])}
    check(model((5, 6), nodes, constants), tmp_path, array(3, 5, 6))


def recurrent(operator: str, direction: str, *, reads: str, **attributes: Any) -> onnx.ModelProto:
    """Six features a step, three units; all steps, or the last state, with a dense layer behind."""
    gates, sides = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator], 1 + (direction == "bidirectional")
    constants = {"w": array(sides, 3 * gates, 6), "r": array(sides, 3 * gates, 3), "b": array(sides, 6 * gates),
                 "zero": np.zeros(1, np.int64), "one": np.ones(1, np.int64), "size": np.array([3]),
                 "sides": np.array([sides]), "rows": np.array([0, 0, -1]), "k": array(3 * sides, 2)}
    given: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Transpose", ["x"], ["t"], {"perm": [1, 0, 2]}), ("Shape", ["x"], ["batch"], {"start": 0, "end": 1}),
             ("Concat", ["sides", "batch", "size"], ["whole"], {"axis": 0}), ("ConstantOfShape", ["whole"], ["h"], {}),
             (operator, ["t", "w", "r", "b", "", "h"], ["all", "state"],
              {"hidden_size": 3, "direction": direction} | attributes)]
    given += [("Transpose", ["all"], ["steps"], {"perm": [0, 2, 1, 3]}), ("Reshape", ["steps", "rows"], ["flat"], {}),
              ("Transpose", ["flat"], ["back"], {"perm": [1, 0, 2]})] if reads == "all" else [
        ("Transpose", ["state"], ["turned"], {"perm": [1, 0, 2]}), ("Reshape", ["turned", "flat"], ["back"], {})]
    constants["flat"] = np.array([0, -1])
    given.append(("MatMul", ["back", "k"], ["y"], {}))
    if reads == "all":
        del constants["flat"]
    made = [helper.make_node(kind, inputs, outputs, name=f"/net/rnn/{kind}" if kind == operator else kind + outputs[0],
                             **attributes) for kind, inputs, outputs, attributes in given]
    graph = helper.make_graph(made, "graph", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 5, 6])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(values, name) for name, values in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("reads", ["all", "state"])
@pytest.mark.parametrize(("operator", "attributes"), [("LSTM", {}), ("GRU", {"linear_before_reset": 1}), ("GRU", {}),
                                                      ("RNN", {})])
def test_recurrent_operators(operator, attributes, reads, tmp_path):
    start = check(recurrent(operator, "forward", reads=reads, **attributes), tmp_path, array(4, 5, 6))
    assert any(name.startswith("net/rnn/") for name in start.tensors)


@pytest.mark.parametrize(("operator", "attributes"), [("LSTM", {}), ("GRU", {"linear_before_reset": 1}), ("RNN", {})])
@pytest.mark.parametrize("reads", ["all", "state"])
def test_both_directions(operator, attributes, reads, tmp_path):
    """ONNX's own evaluation knows one: the other is the same of the steps turned round."""
    proto, fed = recurrent(operator, "bidirectional", reads=reads, **attributes), array(4, 5, 6)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    halves = []
    for side in (0, 1):
        single = recurrent(operator, "forward", reads=reads, **attributes)
        for tensor in single.graph.initializer:
            if tensor.name in ("w", "r", "b"):
                tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name][side:side + 1], tensor.name))
            if tensor.name == "k":
                tensor.CopyFrom(numpy_helper.from_array(arrays["k"][3 * side:3 * side + 3], "k"))
        found = outcome(ReferenceEvaluator(single), "x", fed[:, ::-1] if side else fed)
        halves.append(found[:, ::-1] if side and reads == "all" else found)
    start = taken(proto, tmp_path)
    (name,) = start.model.inputs
    (ours,) = interpret(forward_graph(start.model)[0], {name: fed}, dict(start.tensors)).values()
    np.testing.assert_allclose(ours, halves[0] + halves[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("attributes", "said"), [
    ({"direction": "reverse"}, "forward or bidirectional"), ({"activations": ["Relu", "Tanh", "Tanh"]}, "activations"),
    ({"clip": 1.0}, "neither clip"), ({"layout": 1}, "batch"), ({"hidden_size": 7}, "expected shape")])
def test_unusual_recurrent_operators_are_refused(attributes, said, tmp_path):
    given = {"direction": "forward", **attributes}
    with pytest.raises(WeightsError, match=said):
        taken(recurrent("LSTM", given.pop("direction"), reads="all", **given), tmp_path)


def test_words(tmp_path):
    nodes: list[Node] = [("Gather", ["e", "x"], {}), ("Transpose", ["v0"], {"perm": [0, 2, 1]}),
                         ("Conv", ["v1", "w"], {}), ("ReduceMax", ["v2", "a"], {"keepdims": 0})]
    constants = {"e": array(11, 4), "w": array(3, 4, 2), "a": np.array([2])}
    start = check(model((7,), nodes, constants, element=TensorProto.INT64), tmp_path, RANDOM.integers(0, 11, (3, 7)))
    assert layers(start) == ["Embedding", "Conv1D", "GlobalMaxPooling1D"]


def test_channels_last_as_tensorflow_writes_them(tmp_path):
    """The Transpose that tf2onnx puts in front is no layer, and images go in as they are."""
    nodes: list[Node] = [("Transpose", ["x"], {"perm": [0, 3, 1, 2]}), ("Conv", ["v0", "w"], {}),
                         ("Transpose", ["v1"], {"perm": [0, 2, 3, 1]}), ("Reshape", ["v2", "s"], {}),
                         ("MatMul", ["v3", "k"], {})]
    constants = {"w": array(2, 3, 3, 3), "s": np.array([-1, 24]), "k": array(24, 2)}
    start = check(model((6, 5, 3), nodes, constants), tmp_path, array(2, 6, 5, 3))
    assert layers(start) == ["Conv2D", "Flatten", "Dense"]


def test_parameters_name_their_layers_and_shared_ones_are_one_layer(tmp_path):
    nodes: list[Node] = [("Gemm", ["x", "head.0.weight", "head.0.bias"], {}), ("Relu", ["v0"], {}),
                         ("Gemm", ["v1", "head.0.weight", "head.0.bias"], {}), ("MatMul", ["v2", "w"], {}),
                         ("Add", ["v3", "out.bias"], {})]
    constants = {"head.0.weight": array(8, 8), "head.0.bias": array(8), "w": array(8, 2), "out.bias": array(2)}
    start = check(model((8,), nodes, constants), tmp_path, array(2, 8))
    assert set(start.tensors) == {"head/0/kernel", "head/0/bias", "out/kernel", "out/bias"}


def test_what_we_export_comes_back(tmp_path):
    metadata, weights = trained({**IMAGE, "layers": [layer for layer in IMAGE["layers"] if layer["type"] != "ReLU"]})
    path = tmp_path / "model.onnx"
    path.write_bytes(write_onnx(onnx_model(metadata, weights)))
    start = read_start(path)
    fed = array(2, 8, 8, 3)
    ((name, _),) = start.model.inputs.items()
    (found,) = interpret(forward_graph(start.model)[0], {name: fed}, dict(start.tensors)).values()
    expected = outcome(ReferenceEvaluator(str(path)), name, fed)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


REFUSED: dict[str, tuple[list[Node], dict[str, Any], str]] = {
    "no layer": ([("Tan", ["x"], {}), ("Loop", ["v0"], {})], {}, r"'Tan' \(node 'node0'\), 'Loop' \(node 'node1'\)"),
    "a border below zero": ([("MaxPool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})], {},
                            "node 'node0' .*a maximum after a ReLU"),
    "another batch": ([("Transpose", ["x"], {"perm": [1, 0, 2, 3]})], {},
                      "the batch in front, received it as dimension 1"),
    "the batch behind something": ([("Transpose", ["x"], {"perm": [1, 0, 2, 3]}), ("Relu", ["v0"], {})], {},
                                   "node 'node1' .*the batch in front of input 0"),
    "the batch taken": ([("Gather", ["x", "i"], {})], {"i": np.array(0)}, "a dimension other than the batch"),
    "steps of two": ([("Slice", ["x", "i", "j", "a", "s"], {})],
                     {"i": np.array([0]), "j": np.array([4]), "a": np.array([2]), "s": np.array([2])}, "steps of 1"),
    "an unknown input": ([("Relu", ["nothing"], {})], {}, "inputs that stand before, received 'nothing'"),
    "a kernel that does not fit": ([("Conv", ["x", "w"], {})], {"w": array(2, 3, 3, 3)}, "expected a kernel"),
    "a window too large": ([("Conv", ["x", "w"], {})], {"w": array(2, 4, 9, 3)}, "windows that fit"),
    "a shape of other size": ([("Reshape", ["x", "s"], {})], {"s": np.array([-1, 7])}, "120 numbers for each example"),
    "a matrix of other size": ([("Flatten", ["x"], {}), ("Gemm", ["v0", "w"], {})], {"w": array(7, 2)}, "120 rows"),
    "erf alone": ([("Erf", ["x"], {})], {}, "of a GELU"),
    "a product of values": ([("MatMul", ["x", "x"], {})], {}, "matrices that fit"),
    "attributes of another kind": ([("Conv", ["x", "w"], {"strides": [0, 1]})], {"w": array(2, 4, 1, 1)}, "strides"),
    "not a number": ([("Conv", ["x", "w"], {})], {"w": np.full((2, 4, 1, 1), np.nan, np.float32)}, "finite"),
    "a huge constant": ([("ConstantOfShape", ["s"], {}), ("Add", ["x", "v0"], {})], {"s": np.array([1 << 20, 1 << 20])},
                        "constants of at most"),
    "the input itself": ([("Identity", ["x"], {})], {}, "received an input"),
    "an axis that is none": ([("Concat", ["x", "x"], {})], {}, "as ONNX describes"),
    "a gather out of range": ([("Gather", ["s", "i"], {}), ("Reshape", ["x", "v0"], {})],
                              {"s": np.array([1]), "i": np.array([9])}, "as ONNX describes")}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_is_refused(name, tmp_path):
    nodes, constants, said = REFUSED[name]
    with pytest.raises(WeightsError, match=said):
        taken(model((4, 6, 5), nodes, constants), tmp_path)


def small() -> onnx.ModelProto:
    return model((4,), [("Gemm", ["x", "w"], {})], {"w": array(4, 2)})


def outside(proto: onnx.ModelProto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def open_size(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "width"


HOSTILE = {
    "external data": (outside, "never followed"), "an open size": (open_size, "only the batch may be open"),
    "a claim": (lambda proto: proto.graph.initializer[0].dims.append(1 << 40), "within the file's size"),
    "a negative size": (lambda proto: proto.graph.initializer[0].dims.append(-1), "within the file's size"),
    "too few numbers": (lambda proto: proto.graph.initializer[0].dims.append(3), "received other numbers"),
    "text": (lambda proto: setattr(proto.graph.initializer[0], "data_type", TensorProto.STRING), "expected numbers"),
    "functions": (lambda proto: proto.functions.add(name="evil"), "functions of its own"),
    "an old opset": (lambda proto: setattr(proto.opset_import[0], "version", 5), "opset 9 or newer"),
    "no nodes": (lambda proto: proto.graph.ClearField("node"), "with nodes"),
    "another domain": (lambda proto: setattr(proto.graph.node[0], "domain", "com.evil"), "com.evil.Gemm"),
    "a name": (lambda proto: setattr(proto.graph.input[0], "name", "../../x"), "inputs that stand before"),
    "no output": (lambda proto: setattr(proto.graph.output[0], "name", "nothing"), "received none")}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name, tmp_path):
    change, said = HOSTILE[name]
    proto = small()
    change(proto)
    with pytest.raises(WeightsError, match=said):
        taken(proto, tmp_path)


def test_a_layer_that_the_definition_refuses_has_a_pointer(tmp_path):
    proto = model((4,), [("Dropout", ["x", "r"], {}), ("Gemm", ["v0", "w"], {})],
                  {"r": np.float32(1), "w": array(4, 2)})
    with pytest.raises(WeightsError, match="ratio"):
        taken(proto, tmp_path)
    proto = model((4, 9, 9), [("Conv", ["x", "w"], {"strides": [2, 2], "dilations": [2, 2]})], {"w": array(2, 4, 3, 3)})
    with pytest.raises(DefinitionError) as raised:
        taken(proto, tmp_path)
    assert raised.value.faults[0].pointer.startswith("/file/layers/0")


def test_cut_and_changed_files_are_refused_or_read(tmp_path):
    """No byte of a file leads to anything but a clear error."""
    whole = small().SerializeToString()
    path = tmp_path / "model.onnx"
    random = np.random.default_rng(3)
    for attempt in range(300):
        content = bytearray(whole)
        if attempt % 3 == 0:
            content = content[: 1 + int(random.integers(len(whole) - 1))]
        else:
            for place in random.integers(1, len(whole), 3):
                content[place] = int(random.integers(256))
        path.write_bytes(content)
        try:
            formats.read(path)
        except WeightsError:
            continue
