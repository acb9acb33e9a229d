"""Keras's answers for the drawn configurations, in Keras's own environment:

    python tests/parity/keras_layers.py ARRAYS [LAYER …]

writes every output and gradient into ARRAYS (npz) for `compare.py`, and what the tests check into figures/drawn.json:
of each array its length and its product with a drawn one. Figures of layers that were not run stay.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cases  # type: ignore[import-not-found]
import drawn  # type: ignore[import-not-found]
import keras
import numpy as np
import tensorflow as tf

FIGURES = Path(__file__).parent / "figures" / "drawn.json"


def made(written: dict[str, Any]) -> Any:
    """The layer or cell, with those inside of it."""
    return getattr(keras.layers, written["type"])(**{key: _option(value) for key, value in written.items()
                                                     if key != "type"})


def _option(value: Any) -> Any:
    if isinstance(value, dict):
        return made(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [made(item) for item in value]
    return tuple(map(_option, value)) if isinstance(value, list) else value


def call(built: Any, layer: str, tensors: list[Any], configuration: Any) -> list[Any]:
    """All outputs."""
    several = layer in ("MultiHeadAttention", "GroupQueryAttention")
    recurrent = layer in ("SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
    if several:
        output = built(*tensors, **configuration.arguments)
    elif recurrent and len(tensors) > 1:
        output = built(tensors[0], initial_state=tensors[1:])
    else:
        output = built(tensors[0] if len(tensors) == 1 else tensors, **configuration.arguments)
    return list(keras.tree.flatten(output))


def answer(layer: str, name: str, configuration: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The layer's own configuration, and the arrays."""
    built = made({"type": layer, **configuration.options})
    if configuration.integers is None:
        inputs = [cases.draw(f"{name}/input{place}", shape) for place, shape in enumerate(configuration.shapes)]
    else:
        inputs = [cases.draw_integers(f"{name}/input{place}", shape, configuration.integers).astype(np.float32)
                  for place, shape in enumerate(configuration.shapes)]
    # Layers that look numbers up take no floats.
    whole = layer in ("CategoryEncoding", "IntegerLookup")
    tensors = [tf.convert_to_tensor(array.astype(np.int32) if whole else array) for array in inputs]
    for place in configuration.masked:
        mask = cases.draw_integers(f"{name}/mask{place}", configuration.shapes[place][:2], 3) > 0
        keras.src.backend.set_keras_mask(tensors[place], tf.convert_to_tensor(mask))
    masks = [keras.src.backend.get_keras_mask(tensor) for tensor in tensors]

    def outputs() -> list[Any]:
        for tensor, mask in zip(tensors, masks, strict=True):  # a call may take them away
            keras.src.backend.set_keras_mask(tensor, mask)
        return call(built, layer, tensors, configuration)

    outputs()
    assigned = [variable for variable in built.variables if "seed" not in variable.path]
    for variable, key in zip(assigned, drawn.keys([variable.path for variable in assigned]), strict=True):
        variable.assign(cases.draw_variable(name, key, tuple(variable.shape)))
    if layer == "Normalization":
        built.finalize_state()
    with tf.GradientTape() as tape:
        tape.watch([tensor for tensor in tensors if tensor.dtype.is_floating])
        found = [tf.cast(output, tf.float32) for output in outputs()]
        loss = sum(tf.reduce_sum(output * cases.draw(f"{name}/u{place or ''}", tuple(output.shape)))
                   for place, output in enumerate(found))
    trainable = built.trainable_variables
    arrays = {f"output{place or ''}": np.asarray(output) for place, output in enumerate(found)}
    try:
        sources = tensors if configuration.integers is None else []
        found = tape.gradient(loss, [*sources, *(variable.value for variable in trainable)],
                              unconnected_gradients=tf.UnconnectedGradients.ZERO)
    except (tf.errors.OpError, LookupError) as error:
        # TensorFlow has no gradients of dilated kernels on a CPU, and none of resizing by areas.
        assert "dilation" in str(error) or "ResizeArea" in str(error), error
        return built.get_config(), arrays
    if configuration.integers is None:
        arrays |= {f"d_input{place}": np.asarray(grad) for place, grad in enumerate(found[:len(sources)])}
    names = drawn.keys([variable.path for variable in trainable])
    arrays |= {f"d_{key}": np.asarray(tf.convert_to_tensor(grad))
               for key, grad in zip(names, found[len(sources):], strict=True)}
    return built.get_config(), arrays


def main(target: str, layers: list[str]) -> None:
    """Run the layers, or all."""
    tf.config.threading.set_intra_op_parallelism_threads(2)
    arrays: dict[str, np.ndarray] = {}
    configs: dict[str, Any] = {}
    lines = {layer: _line(layer, kept["config"], kept["figures"])
             for layer, kept in (json.loads(FIGURES.read_text(encoding="utf-8"))["cases"] if layers else {}).items()}
    for layer in layers or drawn.LAYERS:
        figures = []
        for number, configuration in enumerate(drawn.configurations(layer)):
            name = f"{layer}/{number}"
            try:
                configs[name], found = answer(layer, name, configuration)
            except Exception as error:
                raise SystemExit(f"{name} {configuration}: {error}") from error
            arrays |= {f"{name}/{key}": array for key, array in found.items()}
            figures.append({key: [float(f"{float(np.linalg.norm(array)):.7g}"), float(
                f"{float((array * cases.draw(f'{name}/{key}/v', array.shape)).sum(dtype=np.float64)):.7g}")]
                for key, array in found.items()})
        lines[layer] = _line(layer, configs[f"{layer}/0"], figures)
        print(layer, flush=True)
    np.savez_compressed(target, configs=np.array(json.dumps(configs)), **arrays)  # type: ignore[arg-type]
    peer = {"keras": keras.__version__, "tensorflow": tf.__version__}
    known = [lines[layer] for layer in drawn.LAYERS if layer in lines]
    FIGURES.write_text(f'{{"peer": {json.dumps(peer)},\n"cases": {{\n' + ",\n".join(known) + "\n}}\n", encoding="utf-8")


def _line(layer: str, config: dict[str, Any], figures: Any) -> str:
    return (f'{json.dumps(layer)}: {{"config": {json.dumps(config, separators=(",", ":"))},\n'
            f' "figures": {json.dumps(figures, separators=(",", ":"))}}}')


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
