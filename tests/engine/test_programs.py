"""Whole training steps: compiled plans against the references in float64, on any vectors and any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.codegen.host import host
from engine.data.augmentations.random_crop import RandomCrop
from engine.data.augmentations.random_flip import RandomFlip
from engine.data.augmentations.random_translation import RandomTranslation
from engine.programs import TARGET, WEIGHT, Pipeline, Program, Stored
from tests.engine.stepping import Stepped, by_plan, by_reference, initial, program

EXAMPLES, CLASSES = 40, 5
LOSS = {"type": "SparseCategoricalCrossentropy", "from_logits": True}
ADAM = {"type": "Adam", "amsgrad": True, "weight_decay": 0.01, "global_clipnorm": 0.5}
RMSPROP = {"type": "RMSprop", "momentum": 0.5, "centered": True, "clipnorm": 0.3}
NESTEROV = {"type": "SGD", "momentum": 0.9, "nesterov": True, "clipvalue": 0.05}

Case = tuple[Program, dict[str, np.ndarray]]


def tables(judged: np.ndarray, /, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    weight = np.random.default_rng(9).random(EXAMPLES).astype("float32")
    return {**inputs, TARGET: judged, WEIGHT: weight}


def codes() -> np.ndarray:
    return np.random.default_rng(8).integers(0, CLASSES, EXAMPLES).astype("int32")


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((EXAMPLES, *shape)).astype("float32")


def cnn() -> Case:
    """Strides that leave pixels over, windows with borders, uint8 pictures."""
    layers: list[dict[str, Any]] = [
        {"type": "Conv2D", "filters": 6, "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "MaxPooling2D", "pool_size": 3, "strides": 2, "padding": "same"},
        {"type": "Conv2D", "filters": 17, "kernel_size": 3, "strides": 2, "activation": "gelu",
         "kernel_regularizer": "l2"},
        {"type": "Flatten"}, {"type": "Dense", "units": CLASSES},
    ]
    pixels = np.random.default_rng(6).integers(0, 256, (EXAMPLES, 11, 12, 3)).astype("uint8")
    affine = np.array([1 / 255, 1 / 127, 1 / 64], "float32"), np.array([0.0, -1.0, 0.5], "float32")
    pipeline = Pipeline({"x": Stored((11, 12, 3), "uint8", affine)}, weighted=True)
    return program(layers, {"x": (11, 12, 3)}, ADAM, LOSS, pipeline, metrics=[{"type": "AUC"}]), \
        tables(codes(), x=pixels)


def normed() -> Case:
    """Batch norm of images and of rows, depthwise, poolings, a branch that is added."""
    layers: list[dict[str, Any]] = [
        {"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "same", "use_bias": False, "name": "first"},
        {"type": "BatchNormalization", "name": "norm"}, {"type": "ReLU", "name": "rectified"},
        {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same", "activation": "tanh",
         "name": "depthwise"},
        {"type": "Add", "inputs": ["rectified", "depthwise"]},
        {"type": "AveragePooling2D", "pool_size": 2, "padding": "same"},
        {"type": "GlobalAveragePooling2D"}, {"type": "BatchNormalization", "momentum": 0.5},
        {"type": "Dense", "units": CLASSES, "activation": "softmax"},
    ]
    pipeline = Pipeline({"x": Stored((7, 5, 3), "float32", None)})
    loss = {"type": "CategoricalCrossentropy", "label_smoothing": 0.1}
    return program(layers, {"x": (7, 5, 3)}, NESTEROV, loss, pipeline, metrics=[{"type": "Precision"}]), \
        tables(codes(), x=normal(7, 5, 3))


def dropped() -> Case:
    """Dropout and every saturating activation."""
    layers: list[dict[str, Any]] = [
        {"type": "Dense", "units": 33, "activation": "tanh"}, {"type": "Dropout", "rate": 0.3},
        {"type": "Dense", "units": 40, "activation": "selu"}, {"type": "Dropout", "rate": 0.5},
        {"type": "Dense", "units": 20, "activation": "silu"}, {"type": "Dense", "units": 1, "activation": "sigmoid"},
    ]
    pipeline = Pipeline({"x": Stored((9,), "float32", None)}, weighted=True)
    return program(layers, {"x": (9,)}, RMSPROP, {"type": "BinaryCrossentropy"}, pipeline,
                   metrics=[{"type": "Recall"}, {"type": "AUC", "num_thresholds": 30}]), \
        tables((codes() > 2).astype("int32"), x=normal(9))


def branched() -> Case:
    """Dense on rank 3 and 4, two inputs, two outputs, an activity regularizer."""
    layers: list[dict[str, Any]] = [
        {"type": "Dense", "units": 4, "inputs": ["rows"], "name": "wide", "activation": "elu",
         "activity_regularizer": {"type": "L2", "l2": 0.01}},
        {"type": "Reshape", "target_shape": [3, 2, 2], "name": "square", "inputs": ["wide"]},
        {"type": "Dense", "units": 3, "name": "deep", "inputs": ["square"], "activation": "softplus"},
        {"type": "Flatten", "name": "flat", "inputs": ["deep"]},
        {"type": "Concatenate", "name": "both", "inputs": ["flat", "numbers"]},
        {"type": "Dense", "units": 2, "name": "left", "inputs": ["both"]},
        {"type": "Dense", "units": 2, "name": "right", "inputs": ["both"], "activation": "leaky_relu"},
    ]
    pipeline = Pipeline({"rows": Stored((3, 6), "float32", None), "numbers": Stored((4,), "float32", None)},
                        target=((2,), "float32"))
    return program(layers, {"rows": (3, 6), "numbers": (4,)}, {"type": "SGD", "weight_decay": 0.1}, {"type": "Huber"},
                   pipeline, outputs=["left", "right"], metrics=[{"type": "MeanAbsoluteError"}]), \
        tables(normal(2), rows=normal(3, 6), numbers=normal(4))


def named_as_tables() -> Case:
    """Inputs may be called what the tables beside them are called."""
    layers: list[dict[str, Any]] = [{"type": "Add", "inputs": ["target", "sample_weight"]},
                                    {"type": "Dense", "units": CLASSES}]
    pipeline = Pipeline({name: Stored((4,), "float32", None) for name in ("target", "sample_weight")}, weighted=True)
    return program(layers, {"target": (4,), "sample_weight": (4,)}, {"type": "SGD"}, LOSS, pipeline), \
        tables(codes(), target=normal(4), sample_weight=2 * normal(4))


CASES: dict[str, Callable[[], Case]] = {
    case.__name__: case for case in (cnn, normed, dropped, branched, named_as_tables)}


def assert_close(received: Stepped, exact: Stepped, rounded: Stepped) -> None:
    """At most 5e-6 of each array's largest value from float64, or four times what the references in float32 are."""
    for what in ("gradients", "parameters"):
        for name, wanted in getattr(exact, what).items():
            least = 5e-6 * float(np.abs(wanted).max())
            allowed = max(least, 4 * float(np.abs(getattr(rounded, what)[name] - wanted).max()))
            np.testing.assert_allclose(getattr(received, what)[name], wanted, atol=allowed, rtol=0,
                                       err_msg=f"{what} of {name}")
    np.testing.assert_allclose(received.record, exact.record, rtol=1e-5, atol=2e-6)


def check(name: str, rows: np.ndarray, threads: tuple[int, ...] = (1, 2, 4)) -> None:
    """The plan, made for more examples than it gets, against the reference; gradients fetched and not."""
    made, data = CASES[name]()
    parameters = initial(made)
    exact, rounded = (by_reference(made, data, rows, parameters, step=6, seed=11, dtype=dtype)
                      for dtype in ("float64", "float32"))
    fetched = by_plan(made, data, rows, parameters, step=6, seed=11, batch=EXAMPLES, fetch=True)
    assert_close(fetched, exact, rounded)
    for count in threads:
        again = by_plan(made, data, rows, parameters, step=6, seed=11, threads=count)
        assert again.record.tobytes() == fetched.record.tobytes()
        for key, array in fetched.parameters.items():
            assert again.parameters[key].tobytes() == array.tobytes(), f"{key}, {count} threads"


@pytest.mark.parametrize("count", [1, 33])
@pytest.mark.parametrize("name", CASES)
def test_a_whole_step_is_what_the_references_say(name: str, count: int):
    check(name, np.random.default_rng(count).permutation(EXAMPLES)[:count])


@pytest.mark.parametrize("lanes", [8, 4])
@pytest.mark.parametrize("name", CASES)
def test_a_whole_step_on_narrower_vectors(name: str, lanes: int, monkeypatch: pytest.MonkeyPatch):
    """As on a processor without AVX-512, and without AVX."""
    if host().lanes <= lanes:
        pytest.skip(f"this processor's vectors have {host().lanes} lanes")
    monkeypatch.setenv("STOKER_KERNEL_LANES", str(lanes))
    check(name, np.arange(33)[::-1], (2,))


def test_pixels_are_moved_as_they_are_stored_and_blended_as_they_are_meant():
    flip, crop = RandomFlip(), RandomCrop(height=8, width=8)
    shift = RandomTranslation(height_factor=(-0.2, 0.2), width_factor=(0.0, 0.0))
    affine = np.array([1 / 255] * 3, "float32"), np.zeros(3, "float32")
    pipeline = Pipeline({"x": Stored((10, 10, 3), "uint8", affine)}, (flip, crop, shift, flip))
    layers: list[dict[str, Any]] = [{"type": "Flatten"}, {"type": "Dense", "units": CLASSES}]
    graph = program(layers, {"x": (8, 8, 3)}, ADAM, LOSS, pipeline).graph
    augmented = [(node.op.name, node.inputs[0].dtype, node.attrs["place"]) for node in graph.nodes
                 if node.op.name.startswith("random_")]
    assert augmented == [("random_flip", "uint8", 0), ("random_crop", "uint8", 1),
                         ("random_translation", "float32", 2), ("random_flip", "float32", 3)]
