"""Thirty steps of SGD in Keras: a model for every kind of layer, as Keras writes it, and the loss of each step.

    python tests/parity/courses.py [NAME …]       in the peers' environment; writes figures/courses.json

Weights and data are drawn on both sides, the weights by their layer and place among its own. Losses: one for each
output, with its weight; all outputs have the same target.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

STEPS, BATCH, RATE = 30, 8, 0.02
FIGURES = Path(__file__).parent / "figures" / "courses.json"
LEFT_OUT = ("build_config", "registered_name", "compile_config", "dtype", "shape")
"""What Keras writes besides, which would make the figures five times as long."""


def weights(course: str, layer: str, names: Iterable[str], shapes: Iterable[tuple[int, ...]],
            cases: Any) -> list[np.ndarray]:
    """A layer's initial weights, in the order in which the layer creates them."""
    return [cases.draw_weights(f"{course}/{layer}/{place}", name, shape)
            for place, (name, shape) in enumerate(zip(names, shapes, strict=True))]


def behind(path: str) -> bool:
    """Whether a variable is put behind the others of its layer: Keras and we create it at different times."""
    return path.endswith("vector_u")


def data(course: str, inputs: dict[str, tuple[int, ...]], target: tuple[int, ...], tokens: int | None,
         cases: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(steps, batch, …) of each input, and targets that follow from the first one."""
    lead = (STEPS, BATCH)
    if tokens:
        fed = {name: cases.draw_integers(f"{course}/{name}", (*lead, *shape), tokens).astype(np.float32)
               for name, shape in inputs.items()}
    else:
        fed = {name: cases.draw(f"{course}/{name}", (*lead, *shape)) for name, shape in inputs.items()}
    first = next(iter(fed.values())).reshape(*lead, -1) / (tokens or 1)
    mixing = cases.draw(f"{course}/mixing", (first.shape[-1], int(np.prod(target))))
    return fed, np.tanh(first @ mixing).reshape(*lead, *target).astype(np.float32)


def models() -> dict[str, Callable[[Any, Any], Any]]:
    """Functions of (keras, keras.layers) that make the models."""

    def dense(keras: Any, k: Any) -> Any:
        x = keras.Input((12,), name="x")
        y = k.Dense(16, activation="gelu")(k.Dense(24, activation="tanh")(x))
        return keras.Model(x, k.Dense(3)(k.Dropout(0.0)(y)))

    def convolutional(keras: Any, k: Any) -> Any:
        x = keras.Input((12, 12, 3), name="x")
        y = k.MaxPooling2D()(k.Conv2D(8, 3, padding="same", activation="relu")(x))
        y = k.AveragePooling2D(2)(k.Conv2D(12, 3, strides=1, activation="relu")(k.ZeroPadding2D(1)(y)))
        return keras.Model(x, k.Dense(3)(k.Flatten()(y)))

    def separable(keras: Any, k: Any) -> Any:
        x = keras.Input((10, 10, 4), name="x")
        y = k.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu6")(x)
        y = k.SeparableConv2D(12, 3, strides=2, padding="same", activation="silu")(y)
        return keras.Model(x, k.Dense(3)(k.GlobalMaxPooling2D()(y)))

    def residual(keras: Any, k: Any) -> Any:
        x = keras.Input((8, 8, 3), name="x")
        y = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, padding="same", use_bias=False)(x)))
        for filters, strides in ((8, 1), (12, 2)):
            z = k.Conv2D(filters, 3, strides, padding="same", use_bias=False)(y)
            z = k.Conv2D(filters, 3, padding="same", use_bias=False)(k.ReLU()(k.BatchNormalization()(z)))
            y = y if strides == 1 else k.Conv2D(filters, 1, strides)(y)
            y = k.ReLU()(k.Add()([k.BatchNormalization(momentum=0.9)(z), y]))
        return keras.Model(x, k.Dense(3)(k.GlobalAveragePooling2D()(y)))

    def concatenated(keras: Any, k: Any) -> Any:
        x = keras.Input((8, 8, 4), name="x")
        y = x
        for _ in range(3):
            z = k.Conv2D(4, 3, padding="same", use_bias=False)(k.ReLU()(k.BatchNormalization()(y)))
            y = k.Concatenate()([y, z])
        y = k.AveragePooling2D(2)(k.Conv2D(8, 1)(y))
        return keras.Model(x, k.Dense(3)(k.Flatten()(y)))

    def sequence(keras: Any, k: Any) -> Any:
        x = keras.Input((16, 4), name="x")
        y = k.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="elu")(x)
        y = k.MaxPooling1D()(k.SeparableConv1D(8, 3, padding="same", activation="softplus")(y))
        y = k.DepthwiseConv1D(3)(k.UpSampling1D(2)(y))
        return keras.Model(x, k.Dense(3)(k.GlobalAveragePooling1D()(y)))

    def volume(keras: Any, k: Any) -> Any:
        x = keras.Input((6, 6, 6, 2), name="x")
        y = k.MaxPooling3D()(k.Conv3D(6, 3, padding="same", activation="relu")(x))
        y = k.Conv3DTranspose(4, 2)(k.ZeroPadding3D(1)(y))
        return keras.Model(x, k.Dense(3)(k.GlobalAveragePooling3D()(k.Cropping3D(1)(y))))

    def autoencoder(keras: Any, k: Any) -> Any:
        x = keras.Input((8, 8, 2), name="x")
        y = k.Conv2D(6, 3, 2, padding="same", activation="tanh")(x)
        y = k.Conv2D(4, 3, 2, padding="same", activation="tanh")(y)
        y = k.Conv2DTranspose(6, 3, 2, padding="same", activation="tanh")(y)
        y = k.UpSampling2D(interpolation="bilinear")(y)
        return keras.Model(x, k.Cropping2D(1)(k.Conv2DTranspose(2, 3)(y)))

    def normalised(keras: Any, k: Any) -> Any:
        x = keras.Input((6, 8), name="x")
        y = k.GroupNormalization(4)(k.LayerNormalization()(k.EinsumDense("abc,cd->abd", (6, 16), bias_axes="d")(x)))
        y = k.UnitNormalization()(k.RMSNormalization()(k.Dense(8, activation="selu")(y)))
        return keras.Model(x, k.Dense(3)(k.Flatten()(y)))

    def embedded(keras: Any, k: Any) -> Any:
        x = keras.Input((9,), name="x")
        y = k.Dense(8, activation="tanh")(k.Embedding(20, 6, mask_zero=True)(x))
        return keras.Model(x, k.Dense(3)(k.GlobalAveragePooling1D()(y)))

    def regularised(keras: Any, k: Any) -> Any:
        x = keras.Input((10,), name="x")
        y = k.Dense(12, kernel_regularizer=keras.regularizers.L1L2(0.001, 0.01), bias_regularizer="l2")(x)
        y = k.Dense(12, kernel_constraint=keras.constraints.MaxNorm(1.0), activity_regularizer="l2")(k.PReLU()(y))
        y = k.ActivityRegularization(l1=0.001)(k.LeakyReLU()(y))
        return keras.Model(x, k.Dense(3, kernel_regularizer=keras.regularizers.OrthogonalRegularizer())(k.ELU()(y)))

    def several(keras: Any, k: Any) -> Any:
        a, b = keras.Input((6,), name="a"), keras.Input((4,), name="b")
        y = k.Dense(8, activation="relu")(a)
        z = k.Multiply()([y, k.Dense(8, activation="sigmoid")(b)])
        z = k.Maximum()([k.Subtract()([z, y]), k.Average()([y, z])])
        return keras.Model([a, b], [k.Dense(3, name="one")(z), k.Dense(3, name="two")(k.Dot(1)([y, z]))])

    def siamese(keras: Any, k: Any) -> Any:
        inner = keras.Input((6,))
        tower = keras.Model(inner, k.Dense(5)(k.Dense(8, activation="tanh")(inner)), name="tower")
        a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
        shared = k.Dense(6, activation="tanh", name="shared")
        both = k.Concatenate()([tower(shared(a)), tower(shared(shared(b)))])
        return keras.Model([a, b], k.Dense(3)(both))

    def recurrent(keras: Any, k: Any) -> Any:
        x = keras.Input((7, 4), name="x")
        y = k.Bidirectional(k.LSTM(5, return_sequences=True))(k.SimpleRNN(6, return_sequences=True)(x))
        y = k.GRU(6, go_backwards=True)(k.GRU(6, return_sequences=True, reset_after=False)(y))
        return keras.Model(x, k.Dense(3)(y))

    def attentive(keras: Any, k: Any) -> Any:
        x = keras.Input((6,), name="x")
        y = k.Embedding(20, 8)(x)
        for _ in range(2):
            y = k.LayerNormalization()(k.Add()([y, k.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)]))
            z = k.TimeDistributed(k.Dense(16, activation="gelu"))(y)
            y = k.LayerNormalization()(k.Add()([y, k.Dense(8)(z)]))
        return keras.Model(x, k.Dense(3)(k.GlobalAveragePooling1D()(y)))

    def operations(keras: Any, k: Any) -> Any:
        x = keras.Input((4, 6), name="x")
        y = (3.0 - 2 * k.Dense(6)(x)) / (keras.ops.absolute(x) + 1.5)
        y = y - keras.ops.mean(y, axis=1, keepdims=True)
        y = keras.ops.matmul(y, keras.ops.transpose(y, (0, 2, 1))) / 6.0
        return keras.Model(x, k.Dense(3)(keras.ops.tanh(keras.ops.reshape(y, (-1, 16)))))

    def spectral(keras: Any, k: Any) -> Any:
        x = keras.Input((6, 6, 2), name="x")
        inner = k.Conv2D(4, 3, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01))
        y = k.Flatten()(k.SpectralNormalization(inner, power_iterations=2)(x))
        y = k.SpectralNormalization(k.Dense(8, kernel_constraint=keras.constraints.MaxNorm(0.7)))(y)
        return keras.Model(x, k.SpectralNormalization(k.Dense(3))(y))

    def frames(keras: Any, k: Any) -> Any:
        x = keras.Input((4, 6, 5, 2), name="x")
        y = k.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(x)
        y = k.Bidirectional(k.ConvLSTM2D(3, 2, strides=2, activation="relu"), merge_mode="sum")(y)
        return keras.Model(x, k.Dense(3)(k.Flatten()(y)))

    made = (dense, convolutional, separable, residual, concatenated, sequence, volume, autoencoder, normalised,
            embedded, regularised, several, siamese, recurrent, attentive, operations, spectral, frames)
    return {function.__name__: function for function in made}


TOKENS = {"embedded": 20, "attentive": 20}
LOSSES: dict[str, list[tuple[str, float]]] = {"several": [("mean_squared_error", 0.7), ("mean_absolute_error", 1.5)]}
"""Of each output, with its weight, where it is not the mean squared error."""


def _slim(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _slim(item) for key, item in value.items() if key not in LEFT_OUT}
    return [_slim(item) for item in value] if isinstance(value, list) else value


def _assign(course: str, model: Any, keras: Any, cases: Any, prefix: str = "") -> None:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _assign(course, layer, keras, cases, f"{prefix}{layer.name}/")
        else:
            held = sorted((variable for variable in layer.variables if "seed" not in variable.path),
                          key=lambda variable: behind(variable.path))
            drawn = weights(course, prefix + layer.name, [variable.path.rpartition("/")[2] for variable in held],
                            [tuple(variable.shape) for variable in held], cases)
            for variable, value in zip(held, drawn, strict=True):
                variable.assign(value)


def main(names: list[str]) -> None:
    """Write the figures of all courses."""
    import cases  # type: ignore[import-not-found]
    import keras

    lines = []
    for name, make in models().items():
        if names and name not in names:
            continue
        keras.backend.clear_session()
        model = make(keras, keras.layers)
        _assign(name, model, keras, cases)
        inputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
        target = tuple(model.outputs[0].shape[1:])
        fed, targets = data(name, inputs, target, TOKENS.get(name), cases)
        judged = LOSSES.get(name, [("mean_squared_error", 1.0)])
        several = len(judged) > 1
        model.compile(keras.optimizers.SGD(RATE), [loss for loss, _ in judged] if several else judged[0][0],
                      loss_weights=[weight for _, weight in judged] if several else None)
        losses = []
        for step in range(STEPS):
            model.reset_metrics()
            given = [array[step] for array in fed.values()]
            answer = model.train_on_batch(given if len(given) > 1 else given[0],
                                          [targets[step]] * len(judged) if several else targets[step])
            losses.append(float(np.asarray(answer).reshape(-1)[0]))
        # The definition, not what it was compiled with.
        text = json.dumps(_slim(json.loads(model.to_json())), separators=(",", ":"))
        figures = [float(f"{loss:.7g}") for loss in losses]
        lines.append(f'{json.dumps(name)}: {{"model": {text}, "losses": {json.dumps(figures)}}}')
        print(f"{name}: {model.count_params()} parameters, losses from {losses[0]:.4f} to {losses[-1]:.4f}", flush=True)
    if not names:
        peer = json.dumps({"keras": keras.__version__})
        FIGURES.write_text(f'{{"peer": {peer},\n"cases": {{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
