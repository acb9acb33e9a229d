"""Keras on TensorFlow as a participant.

python -m benchmarks.peers.keras_steps FOLDER CONFIGURATION THREADS [--no-dropout]
Configurations: fit, fit_many (50 steps in one call of the graph), xla (jit_compile).
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf

from benchmarks.participant import Settings, serve, settings
from benchmarks.problem import Problem, variable
from benchmarks.workloads import BATCHES, BETA_1, BETA_2, EPSILON, LEARNING_RATE, Layer

MANY = 50


def build(problem: Problem) -> keras.Model:
    """The definition's layers are Keras's by name and options."""
    dtype = "int32" if problem.workload.vocabulary else "float32"
    values: dict[str, Any] = {"x": keras.Input(problem.workload.shape, name="x", dtype=dtype)}
    last = "x"
    for layer in problem.workload.layers:
        inputs = [values[name] for name in problem.inputs[layer["name"]]]
        last = layer["name"]
        apart = len(inputs) == 1 or layer["type"] == "MultiHeadAttention"
        values[last] = _made(layer)(*(inputs if apart else [inputs]))
    model = keras.Model(values["x"], values[last])
    for layer in model.layers:
        for held in layer.weights:
            ways = [word for word in ("forward", "backward", "query", "key", "value", "output")
                    if word in held.path.partition("/")[2].rpartition("/")[0]]
            held.assign(variable(problem.weights[layer.name], held.name, *ways))
    return model


class Embedding(keras.layers.Embedding):
    """With a gradient that is an array: where a row is used twice, Keras's Adam squares a gradient's slices one by one,
    which is another training than everybody else's.
    """

    def call(self, inputs: Any) -> Any:
        """Rows of a product, since a product's gradient is an array."""
        return keras.ops.take(self._embeddings * 1.0, inputs, axis=0)


def _made(layer: Layer) -> keras.Layer:
    """A layer with all that it wraps."""
    options = {key: value for key, value in layer.items() if key not in ("type", "inputs")}
    if "layer" in options:
        options["layer"] = _made(options["layer"])
    made = Embedding if layer["type"] == "Embedding" else getattr(keras.layers, layer["type"])
    return made(**options)


class EveryLoss(keras.callbacks.Callback):
    """Each step's own loss; Keras's log is a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start the mean anew."""
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the mean of one step."""
        self.found.append(float(logs["loss"]))


class Steps:
    """Training by `fit` on batches that lie in memory."""

    flops: ClassVar[dict[str, int]] = {}

    def __init__(self, chosen: Settings) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(chosen.threads)
        problem = chosen.problem()
        self.granularity = MANY if chosen.configuration == "fit_many" else 1
        self.model = build(problem)
        self.data = tf.data.Dataset.from_tensor_slices((problem.x, problem.y)).repeat()
        self.jit = chosen.configuration == "xla"
        self.optimizer = keras.optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON)
        self.done = 0
        self.compiled = 0

    def _fit(self, steps: int, granularity: int, callbacks: list[Any]) -> None:
        if self.compiled != granularity:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            self.model.compile(self.optimizer, loss, jit_compile=self.jit, steps_per_execution=granularity)
            self.compiled = granularity
        offset = self.done % BATCHES
        self.model.fit(self.data.skip(offset), steps_per_epoch=steps, epochs=1, verbose=0, callbacks=callbacks)
        self.done += steps

    def losses(self, steps: int) -> list[float]:
        """Of the next steps."""
        every = EveryLoss()
        self._fit(steps, 1, [every])
        return every.found

    def run(self, steps: int) -> None:
        """Train on."""
        self._fit(steps, self.granularity, [])


def main() -> None:
    """Take part."""
    chosen = settings()
    serve(lambda: Steps(chosen))


if __name__ == "__main__":
    main()
