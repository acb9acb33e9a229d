"""What is measured: models as definitions in the engine's native form, and their batches. Imports nothing but Python.

Every process of a benchmark reads these: ours trains the definition as it is, each peer builds the same layers of its
own. Optimizer: Adam with Keras's options; loss: sparse categorical cross-entropy of logits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Layer = dict[str, Any]

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7
NORMALIZATION_EPSILON = 1e-3
BATCHES = 8
"""Different batches of examples that training goes through in turn."""


@dataclass(frozen=True)
class Workload:
    """`shape` is one example's."""

    name: str
    description: str
    batch: int
    shape: tuple[int, ...]
    classes: int
    layers: tuple[Layer, ...]
    vocabulary: int = 0
    """Above 0, examples are integers below it instead of real numbers."""

    @property
    def definition(self) -> dict[str, Any]:
        """The model in the native form; every layer is named."""
        return {"name": self.name, "inputs": {"x": {"shape": list(self.shape)}}, "layers": list(self.layers)}

    @property
    def layer_types(self) -> list[str]:
        """The types of all layers, those that others wrap included."""
        wrapped = [layer["layer"] for layer in self.layers if "layer" in layer]
        return sorted({layer["type"] for layer in (*self.layers, *wrapped)})

    @property
    def has_dropout(self) -> bool:
        """Whether two implementations draw different random numbers."""
        return any(_dropout(layer) > 0 for layer in self.layers)

    def without_dropout(self) -> Workload:
        """The same model with every rate 0, for comparing losses."""
        off = {"rate": 0.0, "dropout": 0.0}
        return replace(self, layers=tuple({**layer, **{key: off[key] for key in off if key in layer}}
                                          for layer in self.layers))


def _dropout(layer: Layer) -> float:
    return max(float(layer.get("rate", 0.0)), float(layer.get("dropout", 0.0)))


def _named(layers: list[Layer]) -> tuple[Layer, ...]:
    """Each layer with a name, by its type and place, unless it has one."""
    return tuple({"name": f"{layer['type'].lower()}_{place}", **layer} for place, layer in enumerate(layers))


def _dense(*units: int) -> tuple[Layer, ...]:
    hidden = [{"type": "Dense", "units": count, "activation": "relu"} for count in units[:-1]]
    return _named([*hidden, {"type": "Dense", "units": units[-1]}])


def _cnn() -> tuple[Layer, ...]:
    return _named([
        {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
        {"type": "MaxPooling2D", "pool_size": 2},
        {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"},
        {"type": "MaxPooling2D", "pool_size": 2},
        {"type": "Flatten"},
        {"type": "Dense", "units": 64, "activation": "relu"},
        {"type": "Dropout", "rate": 0.5},
        {"type": "Dense", "units": 10},
    ])


class _Chain:
    """Layers one behind the other, with branches where a layer names its inputs."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def add(self, type: str, name: str, inputs: list[str] | None = None, **options: Any) -> str:
        """One layer behind the last one, or behind `inputs`; returns its name."""
        self.layers.append({"type": type, "name": name, **({"inputs": inputs} if inputs else {}), **options})
        return name

    def convolution(self, name: str, filters: int, size: int, strides: int, inputs: list[str] | None = None) -> str:
        """A convolution without a bias, and batch normalization.

        Strided ones pad symmetrically, as published networks and PyTorch's `padding=1` do; Keras's "same" does not.
        """
        padding = "same"
        if strides > 1 and size > 1:
            inputs, padding = [self.add("ZeroPadding2D", f"{name}_pad", inputs, padding=size // 2)], "valid"
        self.add("Conv2D", f"{name}_conv", inputs, filters=filters, kernel_size=size, strides=strides, padding=padding,
                 use_bias=False)
        return self.add("BatchNormalization", f"{name}_bn", epsilon=NORMALIZATION_EPSILON)

    def head(self, classes: int) -> tuple[Layer, ...]:
        """Global pooling and the logits."""
        self.add("GlobalAveragePooling2D", "pool")
        self.add("Dense", "logits", units=classes)
        return tuple(self.layers)


def _resnet20() -> tuple[Layer, ...]:
    """ResNet-20 for CIFAR (He et al., arXiv:1512.03385, section 4.2), with projections where shapes change."""
    net = _Chain()
    net.convolution("stem", 16, 3, 1)
    last = net.add("Activation", "stem_relu", activation="relu")
    channels = 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            name, strides = f"s{stage}b{block}", 2 if stage and not block else 1
            shortcut = last
            net.convolution(f"{name}_1", filters, 3, strides, [last])
            net.add("Activation", f"{name}_relu_1", activation="relu")
            main = net.convolution(f"{name}_2", filters, 3, 1)
            if strides != 1 or filters != channels:
                shortcut = net.convolution(f"{name}_shortcut", filters, 1, strides, [shortcut])
            net.add("Add", f"{name}_add", [main, shortcut])
            last = net.add("Activation", f"{name}_relu_2", activation="relu")
            channels = filters
    return net.head(10)


def _mobilenet() -> tuple[Layer, ...]:
    """Depthwise separable convolutions as in MobileNet (arXiv:1704.04861), for 32 x 32 images, width 16 to 256."""
    net = _Chain()
    net.convolution("stem", 16, 3, 1)
    net.add("Activation", "stem_relu", activation="relu6")
    for block, (filters, strides) in enumerate(((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1))):
        padding = "same"
        if strides > 1:
            net.add("ZeroPadding2D", f"b{block}_pad", padding=1)
            padding = "valid"
        net.add("DepthwiseConv2D", f"b{block}_depthwise", kernel_size=3, strides=strides, padding=padding,
                use_bias=False)
        net.add("BatchNormalization", f"b{block}_bn", epsilon=NORMALIZATION_EPSILON)
        net.add("Activation", f"b{block}_relu", activation="relu6")
        net.convolution(f"b{block}_point", filters, 1, 1)
        net.add("Activation", f"b{block}_point_relu", activation="relu6")
    return net.head(10)


def _transformer(dropout: float) -> tuple[Layer, ...]:
    """A two-layer encoder with normalization before each half (arXiv:2002.04745); Keras has no layer of positions."""
    net = _Chain()
    last = net.add("Embedding", "tokens", input_dim=1000, output_dim=128)
    for block in range(2):
        name = f"b{block}"
        normed = net.add("LayerNormalization", f"{name}_norm_1", [last], epsilon=1e-5)
        net.add("MultiHeadAttention", f"{name}_attention", [normed, normed], num_heads=4, key_dim=32, dropout=dropout)
        attended = net.add("Dropout", f"{name}_dropout_1", rate=dropout)
        last = net.add("Add", f"{name}_add_1", [last, attended])
        net.add("LayerNormalization", f"{name}_norm_2", epsilon=1e-5)
        net.add("Dense", f"{name}_wide", units=256, activation="relu")
        net.add("Dropout", f"{name}_dropout_2", rate=dropout)
        net.add("Dense", f"{name}_narrow", units=128)
        narrowed = net.add("Dropout", f"{name}_dropout_3", rate=dropout)
        last = net.add("Add", f"{name}_add_2", [last, narrowed])
    net.add("GlobalAveragePooling1D", "pool")
    net.add("Dense", "logits", units=10)
    return tuple(net.layers)


def _recurrent(layer: Layer) -> tuple[Layer, ...]:
    return _named([layer, {"type": "Dense", "units": 10}])


IMAGE = (32, 32, 3)
LSTM: Layer = {"type": "LSTM", "units": 128}

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("mlp128", "784-512-256-10, batch 128", 128, (784,), 10, _dense(512, 256, 10)),
        Workload("tab32", "30-64-64-2, batch 32", 32, (30,), 2, _dense(64, 64, 2)),
        Workload("cnn32", "Conv 32, pool, Conv 64, pool, Dense 64, Dropout, Dense 10 on 32x32x3, batch 32", 32, IMAGE,
                 10, _cnn()),
        Workload("cnn128", "the same, batch 128", 128, IMAGE, 10, _cnn()),
        Workload("resnet20", "ResNet-20 on 32x32x3, batch 128", 128, IMAGE, 10, _resnet20()),
        Workload("mobilenet", "depthwise separable, 32x32x3, width 16 to 256, batch 64", 64, IMAGE, 10, _mobilenet()),
        Workload("lstm64", "64 steps x 32, 128 units, batch 64", 64, (64, 32), 10, _recurrent(LSTM)),
        Workload("gru64", "as lstm64, GRU", 64, (64, 32), 10, _recurrent({"type": "GRU", "units": 128})),
        Workload("bilstm64", "as lstm64, in both directions", 64, (64, 32), 10,
                 _recurrent({"type": "Bidirectional", "layer": {"name": "lstm", **LSTM}})),
        Workload("tr32", "2-layer encoder, d=128, 4 heads, ff 256, 64 tokens, dropout 0.1, batch 32", 32, (64,), 10,
                 _transformer(0.1), vocabulary=1000),
        Workload("tr32-nodrop", "the same without dropout", 32, (64,), 10, _transformer(0.0), vocabulary=1000),
    )
}
