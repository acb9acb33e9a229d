"""What Keras 3.15's `model.to_json()` gives is read as it is."""

from __future__ import annotations

import math

import pytest

from engine import inspect
from engine.definition import parse_job, parse_model
from engine.errors import DefinitionError
from engine.graph.build import forward_graph
from engine.types import open_shape
from tests.engine.definition.documents import IMAGES, JOB, changed, keras


def faults(document):
    with pytest.raises(DefinitionError) as caught:
        parse_model(document)
    return {fault.pointer: fault.detail for fault in caught.value.faults}


def test_sequential():
    read = parse_model(keras("sequential"))
    assert [type(node.layer).__name__ for node in read.layers] == [
        "Conv2D", "BatchNormalization", "DepthwiseConv2D", "ReLU", "MaxPooling2D", "ZeroPadding2D",
        "GlobalAveragePooling2D", "Dropout", "Reshape", "Flatten", "Activation", "Dense", "Softmax"]
    assert read.inputs == {"input_layer": (32, 32, 3)} and read.outputs == {"softmax": "softmax"}
    _, net = forward_graph(read)
    # What Keras's count_params() says: 224 + 32 + 80 + 90.
    assert sum(math.prod(variable.shape) for variable in net.variables) == 426
    assert read.to_json()["layers"][0]["kernel_regularizer"] == {"type": "L2", "l2": 0.01}


@pytest.mark.parametrize("name", ["sequential", "functional", "one_input", "built", "nested"])
def test_it_becomes_the_native_form(name):
    read = parse_model(keras(name))
    assert parse_model(read.to_json()) == read


@pytest.mark.parametrize("name", ["sequential", "functional", "one_input", "built"])
def test_every_shape_that_keras_wrote_is_the_one_inferred(name):
    document = keras(name)
    read = parse_model(document)
    nodes = {node.name: node for node in read.layers}
    for layer in document["config"]["layers"]:
        built = layer.get("build_config", {}).get("input_shape")
        if built and layer["class_name"] != "InputLayer":
            shapes = [open_shape(read.types[source].shape) for source in nodes[layer["config"]["name"]].inputs]
            assert shapes == (built if isinstance(built[0], list) else [built])


def test_functional_with_several_inputs_and_outputs():
    read = parse_model(keras("functional"))
    assert read.inputs == {"a": (8,), "b": (4,)} and read.outputs == {"o1": "o1", "o2": "o2"}
    assert {node.name: node.inputs for node in read.layers} == {
        "d1": ("a",), "add": ("d1", "b"), "multiply": ("d1", "add"), "concatenate": ("d1", "add", "multiply"),
        "o1": ("concatenate",), "o2": ("concatenate",)}


def test_a_sequential_without_an_input_layer_takes_the_shape_it_was_built_with():
    document = changed(keras("built"), "/config/layers/0", ...)
    assert parse_model(document).inputs == {"input": (3,)}


def test_a_frozen_model_freezes_its_layers():
    read = parse_model(changed(keras("sequential"), "/config/trainable", False))
    assert not any(node.trainable for node in read.layers)


def test_what_it_was_compiled_with_is_the_default_of_training():
    job = {**JOB, "model": keras("sequential")}
    job = changed(changed(job, "/training", {"epochs": 2}), "/checkpoints/monitor", "val_auc")
    spec = parse_job(job, IMAGES)
    assert type(spec.training.optimizer).__name__ == "Adam"
    assert [metric.log_name for metric in spec.training.metrics["softmax"]] == ["accuracy", "auc"]
    assert parse_job(spec.to_json(), IMAGES) == spec
    given = parse_job(changed(job, "/training/optimizer", "sgd"), IMAGES)
    assert type(given.training.optimizer).__name__ == "SGD"


def test_what_it_was_compiled_with_is_kept_when_the_model_is():
    stored = parse_model(keras("sequential")).to_json()
    assert parse_model(stored).to_json() == stored and "jit_compile" not in stored["compile_config"]
    job = changed(changed({**JOB, "model": stored}, "/training", {"epochs": 2}), "/checkpoints/monitor", "val_auc")
    spec = parse_job(job, IMAGES)
    assert type(spec.training.optimizer).__name__ == "Adam"
    assert "weighted_metrics" in next(iter(faults(changed(
        keras("sequential"), "/compile_config/weighted_metrics", ["auc"]))))
    assert "/model/compile_config" in faults(changed(keras("sequential"), "/compile_config", 3))


def test_faults_of_what_it_was_compiled_with_are_found_there():
    job = changed({**JOB, "model": keras("sequential")}, "/training", {})
    job = changed(job, "/model/compile_config/optimizer/config/loss_scale_factor", 2.0)
    with pytest.raises(DefinitionError) as caught:
        parse_job(job, IMAGES)
    assert "/model/compile_config/optimizer/loss_scale_factor" in [fault.pointer for fault in caught.value.faults]


SEQUENTIAL = "/config/layers/1/config"


@pytest.mark.parametrize(("name", "path", "value", "pointer"), [
    ("sequential", "/class_name", "Subclassed", "/model/class_name"),
    ("sequential", "/config", [], "/model/config"),
    ("sequential", "/config/layers", [], "/model/config/layers"),
    ("sequential", "/config/layers/1/class_name", "Lambda", "/model/config/layers/1/class_name"),
    ("sequential", "/config/layers/1/class_name", "os.system", "/model/config/layers/1/class_name"),
    ("sequential", "/config/layers/1/class_name", "Sequential", "/model/config/layers/1/config/layers"),
    ("sequential", "/config/layers/1/registered_name", "mine>Conv2D", "/model/config/layers/1/registered_name"),
    ("sequential", f"{SEQUENTIAL}/data_format", "channels_first", f"/model{SEQUENTIAL}/data_format"),
    ("sequential", f"{SEQUENTIAL}/dtype/config/name", "mixed_bfloat16", f"/model{SEQUENTIAL}/dtype"),
    ("sequential", f"{SEQUENTIAL}/kernel_constraint", {"class_name": "MaxNorm", "config": {"max_value": -1}},
     f"/model{SEQUENTIAL}/kernel_constraint/max_value"),
    ("sequential", f"{SEQUENTIAL}/lora_rank", 4, f"/model{SEQUENTIAL}/lora_rank"),
    ("sequential", "/config/layers/0/config/batch_shape", [32, 32, 32, 3], "/model/config/layers/0/config/batch_shape"),
    ("sequential", "/config/layers/0/config/batch_shape", [None, None, None, 3],
     "/model/config/layers/0/config/batch_shape/1"),
    ("sequential", "/config/layers/0/config/sparse", True, "/model/config/layers/0/config/sparse"),
    ("sequential", "/config/layers/0/config/dtype", "string", "/model/config/layers/0/config/dtype"),
    ("functional", "/config/layers/1/inbound_nodes", [], "/model/config/layers/1/inbound_nodes"),
    ("functional", "/config/layers/1/inbound_nodes/0/args", [], "/model/config/layers/1/inbound_nodes/0/args"),
    ("functional", "/config/layers/1/inbound_nodes/0/kwargs", {"mask": 1},
     "/model/config/layers/1/inbound_nodes/0/kwargs/mask"),
    ("functional", "/config/layers/1/inbound_nodes/0/args/0/config/keras_history", ["nowhere", 0, 0],
     "/model/config/layers/1/inbound_nodes/0/args/0"),
    ("functional", "/config/layers/1/inbound_nodes/0/args/0/config/keras_history", ["a", 1, 0],
     "/model/config/layers/1/inbound_nodes/0/args/0"),
    ("functional", "/config/output_layers/0", ["nowhere", 0, 0], "/model/config/output_layers/0"),
    ("functional", "/config/output_layers", None, "/model/config/output_layers"),
    ("functional", "/config/layers/2/config/name", "a", "/model/config/layers/2/config/name"),
    ("functional", "/surprise", 1, "/model/surprise"),
])
def test_what_is_not_supported_is_refused_at_its_place(name, path, value, pointer):
    assert pointer in faults(changed(keras(name), path, value))


def test_shared_layers_and_nested_models():
    read = parse_model(keras("nested"))
    assert read.inputs == {"a": (8,), "b": (8,)} and read.outputs == {"first": "o1", "second": "inf/times"}
    nodes = {node.name: node for node in read.layers}
    assert nodes["s_1"].shares == "s" and nodes["add"].inputs == ("s", "s_1")
    assert nodes["inner_1/d"].shares == "inner/d" and nodes["inf/deep/dd"].inputs == ("inner/n",)
    assert nodes["inf_1/deep_1/dd"].shares == "inf/deep/dd"
    _, net = forward_graph(read)
    # What Keras's count_params() says.
    assert sum(math.prod(variable.shape) for variable in net.variables) == 105
    assert {variable.layer for variable in net.variables} == {"s", "bn", "inner/d", "inner/n", "inf/deep/dd", "o1"}


def test_parameters_of_shared_layers_are_counted_once():
    answer = inspect.summary(parse_model(keras("nested")))
    assert answer["parameters"]["total"] == 105 == sum(layer["parameters"] for layer in answer["layers"])
    assert {layer["name"]: layer["parameters"] for layer in answer["layers"]}["inner_1/d"] == 0


def test_a_frozen_nested_model_freezes_what_is_in_it():
    document = keras("nested")
    place = next(index for index, layer in enumerate(document["config"]["layers"]) if layer["name"] == "inf")
    frozen = parse_model(changed(document, f"/config/layers/{place}/config/trainable", False))
    assert {node.owner for node in frozen.layers if not node.trainable} == {
        "inf/deep/dd", "inf/times", "inf/plus"}


def test_many_calls_of_nested_models_are_refused_before_they_are_counted_out():
    model = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "ReLU"}, {"type": "ReLU"}]}
    for _ in range(19):
        model = {"inputs": {"x": {"shape": [2]}}, "layers": [{"model": model, "name": "m"}, {"use": "m"}]}
    assert "10000 calls" in next(iter(faults(model).values()))
    assert "inside each other" in next(iter(faults({"inputs": {"x": {"shape": [2]}}, "layers": [
        {"model": {"inputs": {"x": {"shape": [2]}}, "layers": [{"model": model}]}}]}).values()))
