"""Recurrent layers and attention in JAX: input products of all steps at once, `lax.scan` over time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.problem import Named, variable
from benchmarks.workloads import Layer


def recurrent(layer: Layer, weights: Named, x: Any) -> Any:
    """(batch, time, features) to the last state of each direction, (batch, directions * units)."""
    if layer["type"] == "Bidirectional":
        return jnp.concatenate([_direction(layer["layer"], weights, x, "forward"),
                                _direction(layer["layer"], weights, x, "backward")], -1)
    return _direction(layer, weights, x)


def _direction(layer: Layer, weights: Named, x: Any, *words: str) -> Any:
    kernel, inner, bias = (variable(weights, name, *words) for name in ("kernel", "recurrent_kernel", "bias"))
    zeros = jnp.zeros((x.shape[0], layer["units"]), x.dtype)
    given = jnp.swapaxes(x @ kernel + (bias if bias.ndim == 1 else bias[0]), 0, 1)

    def lstm(state: tuple[Any, Any], step: Any) -> tuple[tuple[Any, Any], None]:
        hidden, cell = state
        i, f, c, o = jnp.split(step + hidden @ inner, 4, -1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(c)
        return (jax.nn.sigmoid(o) * jnp.tanh(cell), cell), None

    def gru(hidden: Any, step: Any) -> tuple[Any, None]:
        z, r, h = jnp.split(step, 3, -1)
        inner_z, inner_r, inner_h = jnp.split(hidden @ inner + bias[1], 3, -1)
        update, reset = jax.nn.sigmoid(z + inner_z), jax.nn.sigmoid(r + inner_r)
        return update * hidden + (1 - update) * jnp.tanh(h + reset * inner_h), None

    if layer["type"] == "LSTM":
        return lax.scan(lstm, (zeros, zeros), given, reverse="backward" in words)[0][0]
    return lax.scan(gru, zeros, given, reverse="backward" in words)[0]


def attention(layer: Layer, weights: Named, x: Any, key: Any) -> Any:
    """Self-attention of (batch, time, features)."""
    q, k, v = (jnp.einsum("btf,fhd->bthd", x, variable(weights, "kernel", part)) + variable(weights, "bias", part)
               for part in ("query", "key", "value"))
    scores = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q / jnp.sqrt(layer["key_dim"]), k))
    scores = dropout(scores, layer.get("dropout", 0.0), key)
    found = jnp.einsum("bhqk,bkhd->bqhd", scores, v)
    return jnp.einsum("bqhd,hdf->bqf", found, variable(weights, "kernel", "output")) + variable(
        weights, "bias", "output")


def layer_norm(layer: Layer, weights: Named, x: Any) -> Any:
    """Normalization over the last dimension."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + layer["epsilon"]) * weights["gamma"] + weights["beta"]


def dropout(x: Any, rate: float, key: Any) -> Any:
    """Zeros at `rate`, the rest larger by as much."""
    kept = 1.0 - rate
    return jnp.where(jax.random.bernoulli(key, kept, x.shape), x / kept, 0.0) if kept < 1.0 else x
