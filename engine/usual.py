"""Models as they are usually trained: whose compute kernels are worth compiling before anyone asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Layer = dict[str, Any]

BATCHES = (32, 64, 128)


def jobs() -> dict[str, Mapping[str, Any]]:
    """Job documents without data, by a name that says what each one is."""
    adam: dict[str, Any] = {"optimizer": {"type": "Adam"}, "metrics": ["accuracy"],
                            "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True}}
    momentum = {**adam, "optimizer": {"type": "SGD", "momentum": 0.9, "nesterov": True}}
    numbers = {"optimizer": {"type": "Adam"}, "loss": {"type": "MeanSquaredError"}, "metrics": ["mae"]}
    found: dict[str, Mapping[str, Any]] = {}
    for batch in BATCHES:
        for name, model, training in (
            ("dense layers on a table", _model((30,), _dense(64, 64, 2)), adam),
            ("dense layers on images", _model((28, 28, 1), [{"type": "Flatten"}, *_dense(512, 256, 10)]), adam),
            ("regression on a table", _model((30,), _dense(64, 64, 1)), numbers),
            ("a convolutional network", _model((32, 32, 3), _convolutional()), adam),
            ("a residual network", _model((32, 32, 3), _residual()), momentum),
            ("separable convolutions", _model((32, 32, 3), _separable()), momentum),
        ):
            found[f"{name}, batches of {batch}"] = {"model": model, "training": {**training, "batch_size": batch}}
    return found


def _model(shape: tuple[int, ...], layers: list[Layer]) -> dict[str, Any]:
    return {"inputs": {"x": {"shape": list(shape)}}, "layers": layers}


def _dense(*units: int) -> list[Layer]:
    return [*({"type": "Dense", "units": count, "activation": "relu"} for count in units[:-1]),
            {"type": "Dense", "units": units[-1]}]


def _convolutional() -> list[Layer]:
    layers: list[Layer] = []
    for filters in (32, 64):
        layers += [{"type": "Conv2D", "filters": filters, "kernel_size": 3, "activation": "relu"},
                   {"type": "MaxPooling2D", "pool_size": 2}]
    return [*layers, {"type": "Flatten"}, {"type": "Dense", "units": 64, "activation": "relu"},
            {"type": "Dropout", "rate": 0.5}, {"type": "Dense", "units": 10}]


def _residual() -> list[Layer]:
    """A stem, and three stages of one block each, as in He et al. (arXiv:1512.03385, section 4.2)."""
    layers = [*_convolution("stem", 16), _relu("stem_relu")]
    last, channels = "stem_relu", 16
    for stage, filters in enumerate((16, 32, 64)):
        name, strides = f"s{stage}", 2 if stage else 1
        layers += [*_convolution(f"{name}_1", filters, strides=strides, inputs=[last]), _relu(f"{name}_relu_1"),
                   *_convolution(f"{name}_2", filters)]
        shortcut = last
        if filters != channels:
            layers += _convolution(f"{name}_shortcut", filters, size=1, strides=strides, inputs=[last])
            shortcut = f"{name}_shortcut_bn"
        layers += [{"type": "Add", "name": f"{name}_add", "inputs": [f"{name}_2_bn", shortcut]},
                   _relu(f"{name}_relu_2")]
        last, channels = f"{name}_relu_2", filters
    return [*layers, {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 10}]


def _separable() -> list[Layer]:
    """Depthwise and pointwise convolutions in turn, as in MobileNet (arXiv:1704.04861)."""
    layers = [*_convolution("stem", 16), _relu("stem_relu", "relu6")]
    for block, (filters, strides) in enumerate(((32, 1), (64, 2), (128, 2), (256, 2))):
        layers += [{"type": "DepthwiseConv2D", "kernel_size": 3, "strides": strides, "padding": "same",
                    "use_bias": False},
                   {"type": "BatchNormalization"}, _relu(f"b{block}_relu_1", "relu6"),
                   *_convolution(f"b{block}_point", filters, size=1), _relu(f"b{block}_relu_2", "relu6")]
    return [*layers, {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 10}]


def _convolution(name: str, filters: int, *, size: int = 3, strides: int = 1,
                 inputs: list[str] | None = None) -> list[Layer]:
    """Without a bias, and batch normalization."""
    return [{"type": "Conv2D", "name": name, "filters": filters, "kernel_size": size, "strides": strides,
             "padding": "same", "use_bias": False, **({"inputs": inputs} if inputs else {})},
            {"type": "BatchNormalization", "name": f"{name}_bn"}]


def _relu(name: str, kind: str = "relu") -> Layer:
    return {"type": "Activation", "name": name, "activation": kind}
