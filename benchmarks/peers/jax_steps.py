"""JAX as a participant: python -m benchmarks.peers.jax_steps FOLDER CONFIGURATION THREADS [--no-dropout]

Configurations: jit (one call a step), scan (`lax.scan` over 50 steps a call).
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, cast

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.participant import Settings, serve, settings
from benchmarks.peers import jax_sequence
from benchmarks.workloads import BATCHES, BETA_1, BETA_2, EPSILON, LEARNING_RATE, Layer

MANY = 50
MOVING = ("moving_mean", "moving_variance")
MOMENTUM = 0.99
IMAGES = ("NHWC", "HWIO", "NHWC")
ACTIVATIONS = {"relu": jax.nn.relu, "relu6": jax.nn.relu6}
State = dict[str, Any]


def apply(layer: Layer, weights: Any, inputs: list[Any], key: Any, moving: dict[str, Any]) -> Any:
    """One layer in training; batch normalization's new statistics go into `moving`."""
    x, name = inputs[0], layer["name"]
    match layer["type"]:
        case "Dense":
            y = x @ weights["kernel"] + weights["bias"]
        case "Conv2D" | "DepthwiseConv2D":
            kernel, groups = weights["kernel"], 1
            if layer["type"] == "DepthwiseConv2D":
                kernel, groups = kernel.transpose(0, 1, 3, 2), x.shape[-1]
            strides = (layer.get("strides", 1),) * 2
            y = lax.conv_general_dilated(x, kernel, strides, layer.get("padding", "valid").upper(),
                                         dimension_numbers=IMAGES, feature_group_count=groups)
            y = y + weights["bias"] if "bias" in weights else y
        case "BatchNormalization":
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            moving[name] = {"moving_mean": mean, "moving_variance": variance}
            scale = weights["gamma"] * lax.rsqrt(variance + layer["epsilon"])
            y = (x - mean) * scale + weights["beta"]
        case "MaxPooling2D":
            window = (1, layer["pool_size"], layer["pool_size"], 1)
            y = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
        case "ZeroPadding2D":
            border = (layer["padding"],) * 2
            y = jnp.pad(x, ((0, 0), border, border, (0, 0)))
        case "Flatten":
            y = x.reshape(x.shape[0], -1)
        case "GlobalAveragePooling2D":
            y = x.mean((1, 2))
        case "Add":
            y = sum(inputs[1:], x)
        case "Activation":
            y = x
        case "Dropout":
            y = jax_sequence.dropout(x, layer["rate"], key)
        case "LSTM" | "GRU" | "Bidirectional":
            y = jax_sequence.recurrent(layer, weights, x)
        case "Embedding":
            y = weights["embeddings"][x]
        case "LayerNormalization":
            y = jax_sequence.layer_norm(layer, weights, x)
        case "MultiHeadAttention":
            y = jax_sequence.attention(layer, weights, x, key)
        case "GlobalAveragePooling1D":
            y = x.mean(1)
        case other:
            raise ValueError(f"expected a layer that has its like here, received {other}")
    return ACTIVATIONS[layer["activation"]](y) if layer.get("activation") else y


class Steps:
    """A jitted step, called once a step or scanned over many."""

    flops: ClassVar[dict[str, int]] = {}

    def __init__(self, chosen: Settings) -> None:
        problem = chosen.problem()
        self.problem = problem
        self.granularity = MANY if chosen.configuration == "scan" else 1
        self.x, self.y = jnp.asarray(problem.x), jnp.asarray(problem.y)
        self.batches = [(self.x[place], self.y[place]) for place in range(BATCHES)]
        weights = {layer: {name: jnp.asarray(data) for name, data in named.items() if name not in MOVING}
                   for layer, named in problem.weights.items()}
        moving = {layer: {name: jnp.asarray(named[name]) for name in MOVING}
                  for layer, named in problem.weights.items() if MOVING[0] in named}
        zeros = jax.tree.map(jnp.zeros_like, weights)
        self.state: State = {"weights": weights, "m": zeros, "v": jax.tree.map(jnp.zeros_like, weights),
                             "step": jnp.zeros((), jnp.int32), "moving": moving, "key": jax.random.key(0)}
        self.step = jax.jit(self._step, donate_argnums=0)
        self.many = jax.jit(self._many, donate_argnums=0)
        self.done = 0
        self.ready: list[float] = []

    def _loss(self, weights: Any, x: Any, y: Any, key: Any) -> tuple[Any, Any]:
        values, moving = {"x": x}, cast(dict[str, Any], {})
        for place, layer in enumerate(self.problem.workload.layers):
            name = layer["name"]
            inputs = [values[source] for source in self.problem.inputs[name]]
            x = values[name] = apply(layer, weights[name], inputs, jax.random.fold_in(key, place), moving)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1)), moving

    def _step(self, state: State, x: Any, y: Any) -> tuple[State, Any]:
        step = state["step"] + 1
        key = jax.random.fold_in(state["key"], step)
        (loss, moving), grads = jax.value_and_grad(self._loss, has_aux=True)(state["weights"], x, y, key)
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, state["m"], grads)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, state["v"], grads)
        rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), state["weights"], m, v)
        moving = jax.tree.map(lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, state["moving"], moving)
        return {"weights": weights, "m": m, "v": v, "step": step, "moving": moving, "key": state["key"]}, loss

    def _many(self, state: State, x: Any, y: Any) -> tuple[State, Any]:
        def one(state: State, _: None) -> tuple[State, Any]:
            place = state["step"] % BATCHES
            return self._step(state, x[place], y[place])

        state, losses = lax.scan(one, state, None, MANY)
        return state, losses

    def losses(self, steps: int) -> list[float]:
        """Of the next steps; the rest of a scan waits for the next call."""
        while len(self.ready) < steps:
            self.ready += [float(loss) for loss in self._advance()]
        found, self.ready = self.ready[:steps], self.ready[steps:]
        return found

    def run(self, steps: int) -> None:
        """Train on. Steps are queued as JAX likes, and waited for at the end."""
        for _ in range(steps // self.granularity):
            last = self._advance()
        jax.block_until_ready((last, self.state["weights"]))

    def _advance(self) -> Any:
        if self.granularity == MANY:
            self.state, losses = self.many(self.state, self.x, self.y)
        else:
            self.state, loss = self.step(self.state, *self.batches[self.done % BATCHES])
            losses = loss[None]
        self.done += self.granularity
        return losses


def main() -> None:
    """Take part."""
    chosen = settings()
    serve(lambda: Steps(chosen))


if __name__ == "__main__":
    main()
