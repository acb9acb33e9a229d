"""Run Keras on every case and write what it answers into figures/: `make parity` does it in Keras's own environment.

Keras computes on TensorFlow, on the CPU, in float32. Figures have eight significant digits.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cases  # type: ignore[import-not-found]
import keras
import numpy as np
import tensorflow as tf

FIGURES = Path(__file__).parent / "figures"
DOCUMENTS = Path(__file__).parent.parent / "engine" / "definition" / "keras"
"""What Keras's `to_json()` gave for models."""
SIGNIFICANT = 8
LARGEST = 100
"""Elements of a variable that is still written down after training."""


def build(package: Any, document: dict[str, Any], **more: Any) -> Any:
    """The Keras object that `{"type": …, options}` names, nested ones included."""
    options = {key: _nested(key, value) for key, value in document.items() if key != "type"}
    return getattr(package, document["type"])(**options, **more)


def _nested(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        package = (keras.optimizers.schedules if key == "learning_rate" else
                   keras.constraints if key.endswith("_constraint") else keras.regularizers)
        return build(package, value)
    return tuple(_nested(key, item) for item in value) if isinstance(value, list) else value


def figure(array: Any) -> dict[str, Any]:
    """Shape and values of an array as JSON."""
    array = np.asarray(array)
    values = [float(f"{value:.{SIGNIFICANT}g}") for value in array.reshape(-1).tolist()]
    return {"shape": list(array.shape), "values": values}


def name_of(variable: Any) -> str:
    return str(variable.path.rpartition("/")[2])


def layer(name: str, case: dict[str, Any]) -> dict[str, Any]:
    inputs = [cases.draw(f"{name}/input{index}", tuple(shape)) for index, shape in enumerate(case["shapes"])]
    built = build(keras.layers, case["layer"])
    arguments = inputs[0] if len(inputs) == 1 else inputs
    built(arguments)
    for variable in built.variables:
        if "seed" not in variable.path:
            variable.assign(cases.draw_variable(name, name_of(variable), tuple(variable.shape)))
    answer = {"output": figure(built(arguments, training=True) if case["training"] else built(arguments))}
    if case["training"]:
        answer |= {name_of(variable): figure(variable) for variable in built.non_trainable_variables}
    return answer


def activation(name: str, case: dict[str, Any]) -> dict[str, Any]:
    options = {key: value for key, value in case.items() if key != "type"}
    function = keras.activations.get(case["type"])
    return {"output": figure(function(keras.ops.convert_to_tensor(cases.activation_input()), **options))}


def loss(name: str, case: dict[str, Any]) -> dict[str, Any]:
    target, prediction = cases.targets(case["target"], name), cases.predictions(case["prediction"], name)
    mean = build(keras.losses, case["loss"])
    options = {key: value for key, value in case["loss"].items() if key != "reduction"}
    examples = np.asarray(build(keras.losses, options, reduction="none")(target, prediction))
    # Keras multiplies weights as they are: those of examples need dimensions for whatever an example has.
    weights = cases.weights(name).reshape(-1, *(1,) * max(0, examples.ndim - 1))
    weighted = figure(mean(target, prediction, sample_weight=weights)) if examples.ndim else None
    return {"examples": figure(examples), "mean": figure(mean(target, prediction)), "weighted": weighted}


def metric(name: str, case: dict[str, Any]) -> dict[str, Any]:
    answer = {}
    for weighted in (False,) if case["metric"]["type"] in cases.WEIGHTS_CUT_OFF else (False, True):
        state = build(keras.metrics, case["metric"])
        for index, size in enumerate(cases.BATCHES):
            part = f"{name}/{index}"
            target, prediction = (cases.targets(case["target"], part, size),
                                  cases.predictions(case["prediction"], part, size))
            state.update_state(target, prediction, sample_weight=cases.weights(part, size) if weighted else None)
        answer["weighted" if weighted else "plain"] = figure(state.result())
    return answer


def schedule(name: str, case: dict[str, Any]) -> dict[str, Any]:
    curve = build(keras.optimizers.schedules, case)
    return {"rates": figure([float(curve(np.int64(step))) for step in cases.SCHEDULE_STEPS])}


class _Model:
    """What a Keras callback sees of a model: enough to stop it, to copy its weights and to set its rate."""

    def __init__(self) -> None:
        self.stop_training = False
        self.epoch = 0
        self.restored: int | None = None
        self.optimizer = keras.optimizers.SGD(0.1)
        self.metrics: list[Any] = []

    def get_weights(self) -> int:
        return self.epoch

    def set_weights(self, epoch: int) -> None:
        self.restored = epoch


def callback(name: str, case: dict[str, Any]) -> dict[str, Any]:
    answer = {}
    for course, values in cases.COURSES.items():
        model, rates = _Model(), []
        acting = build(keras.callbacks, case)
        acting.set_model(model)
        acting.on_train_begin()
        for epoch, value in enumerate(values):
            model.epoch = epoch + 1
            acting.on_epoch_end(epoch, {"loss": 1.0, "val_loss": value})
            rates.append(float(model.optimizer.learning_rate))
            if model.stop_training:
                break
        acting.on_train_end()
        answer[course] = {"epochs": model.epoch, "stopped": model.stop_training, "restored": model.restored,
                          "rates": figure(rates)}
    return answer


def initializer(name: str, case: dict[str, Any]) -> dict[str, Any]:
    answer = {}
    for shape in cases.OWN_SHAPES.get(name, cases.INITIALIZER_SHAPES):
        seed = {} if name in ("Zeros", "Ones", "Constant", "Identity", "STFT") else {"seed": 0}
        options = {"type": name, **seed, **cases.OWN_OPTIONS.get(name, {})}
        values = np.asarray(build(keras.initializers, options)(shape), np.float64)
        answer["x".join(map(str, shape))] = {
            "mean": values.mean(), "std": values.std(), "maximum": np.abs(values).max(),
            "fourth": (values**4).mean(),
        }
    return answer


def constraint(name: str, case: dict[str, Any]) -> dict[str, Any]:
    weight = keras.ops.convert_to_tensor(cases.draw(name, cases.CONSTRAINED))
    return {"weight": figure(build(keras.constraints, case)(weight))}


def regularizer(name: str, case: dict[str, Any]) -> dict[str, Any]:
    weight = keras.ops.convert_to_tensor(cases.draw(name, cases.REGULARIZED_SHAPE))
    return {"penalty": figure(build(keras.regularizers, case)(weight))}


def network(name: str, case: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A model with the case's weights, and its layers by name or place; each reads the one before it, or `inputs`."""
    values: dict[str, Any] = {"x": keras.Input(tuple(case["shape"]))}
    built, last = {}, "x"
    for index, document in enumerate(case["layers"]):
        label = document.get("name", str(index))
        inputs = [values[source] for source in document.get("inputs", [last])]
        options = {key: value for key, value in document.items() if key not in ("name", "inputs")}
        built[label] = build(keras.layers, options)
        values[label] = built[label](inputs[0] if len(inputs) == 1 else inputs)
        last = label
    for label, layer_ in built.items():
        for variable in layer_.variables:
            if "seed" not in variable.path:
                variable.assign(cases.draw_weights(f"{name}/{label}", name_of(variable), tuple(variable.shape)))
    return keras.Model(values["x"], values[last]), built


def courses(name: str, case: dict[str, Any], order: np.ndarray[Any, Any] | None = None) -> tuple[list[float], Any]:
    """The loss of every step, and the trained layers; `order` is that of the examples in each batch."""
    model, built = network(name, case)
    model.compile(build(keras.optimizers, case["optimizer"]), build(keras.losses, case["loss"]))
    inputs, targets = cases.training_data(name)
    if order is not None:
        inputs, targets = inputs[:, order], targets[:, order]
    weights = cases.training_weights(name) if case["weighted"] else [None] * case["steps"]
    losses = []
    for x, y, weight in zip(inputs, targets, weights, strict=True):
        # train_on_batch answers the mean since the last reset; the figure is the step's own loss.
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x, y, sample_weight=weight)))
    return losses, built


def training(name: str, case: dict[str, Any]) -> dict[str, Any]:
    losses, built = courses(name, case)
    final = {f"{label}/{name_of(variable)}": figure(variable)
             for label, layer_ in built.items() for variable in layer_.variables
             if np.prod(variable.shape) <= LARGEST}
    return {"losses": figure(losses), "final": final}


def _compute_in(dtype: str) -> None:
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


def long(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """The losses in float64, and how far the farthest of three courses in float32 is from them, up to each step."""
    _compute_in("float64")
    exact = np.array(courses(name, case)[0])
    _compute_in("float32")
    orders = [None, *(np.random.default_rng(seed).permutation(case["batch"]) for seed in (0, 1))]
    apart = [np.abs(np.array(courses(name, case, order)[0]) - exact) for order in orders]
    return {"losses": figure(exact), "noise": figure(np.maximum.accumulate(np.max(apart, 0)))}


def paths(model: Any, prefix: str = "") -> dict[str, Any]:
    """Variables by the names that the engine gives them: layers of nested models have its name before theirs."""
    found: dict[str, Any] = {}
    for built in model.layers:
        if isinstance(built, keras.Model):
            found |= paths(built, f"{prefix}{built.name}/")
        else:
            found |= {f"{prefix}{built.name}/{name_of(variable)}": variable for variable in built.variables
                      if "seed" not in variable.path}
    return found


def model(name: str, case: dict[str, Any]) -> dict[str, Any]:
    read = keras.models.model_from_json((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8"))
    for path, variable in paths(read).items():
        variable.assign(cases.draw_variable(f"{name}/{path}", name_of(variable), tuple(variable.shape)))
    inputs, targets = cases.model_data(name)
    answers = read({key: value[0] for key, value in inputs.items()} if len(inputs) > 1 else
                   next(iter(inputs.values()))[0])
    answers = answers if isinstance(answers, dict) else {read.output_names[0]: answers}
    answer: dict[str, Any] = {"outputs": {key: figure(value) for key, value in answers.items()}}
    if case["target"] is not None:
        read.compile(keras.optimizers.SGD(cases.MODEL_RATE), "mse")
        (fed,) = inputs.values()
        losses = []
        for x, y in zip(fed, targets, strict=True):
            read.reset_metrics()
            losses.append(float(read.train_on_batch(x, y)))
        answer["losses"] = figure(losses)
    return answer


PARTS: dict[str, tuple[Callable[[str, dict[str, Any]], dict[str, Any]], dict[str, Any]]] = {
    "layers": (layer, cases.LAYERS),
    "activations": (activation, cases.ACTIVATIONS),
    "losses": (loss, cases.LOSSES),
    "metrics": (metric, cases.METRICS),
    "schedules": (schedule, cases.SCHEDULES),
    "callbacks": (callback, cases.CALLBACKS),
    "initializers": (initializer, {name: {} for name in cases.INITIALIZERS}),
    "constraints": (constraint, cases.CONSTRAINTS),
    "regularizers": (regularizer, cases.REGULARIZERS),
    "training": (training, cases.TRAININGS),
    "models": (model, cases.MODELS),
    "long": (long, cases.LONG),
}


def main(parts: list[str]) -> None:
    """Write figures/<part>.json for the named parts, or for all."""
    tf.config.threading.set_intra_op_parallelism_threads(2)
    FIGURES.mkdir(exist_ok=True)
    for part in parts or PARTS:
        answer, known = PARTS[part]
        lines = [f"{json.dumps(name)}: {json.dumps(answer(name, case), separators=(',', ':'))}"
                 for name, case in known.items()]
        peer = {"keras": keras.__version__, "tensorflow": tf.__version__}
        text = f'{{"peer": {json.dumps(peer)},\n"cases": {{\n' + ",\n".join(lines) + "\n}}\n"
        path = FIGURES / f"{part}.json"
        path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {len(known)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
