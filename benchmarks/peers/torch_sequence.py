"""Recurrent layers and attention as PyTorch's fastest modules have them, with a problem's weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.problem import Named, variable
from benchmarks.workloads import Layer

Array = np.ndarray[Any, Any]


def fill(parameter: torch.Tensor, data: Array) -> None:
    """Copy weights into a parameter."""
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(data)))


class Recurrent(nn.Module):
    """(batch, time, features) to the last state of each direction, (batch, directions * units)."""

    def __init__(self, layer: Layer, features: int, weights: Named) -> None:
        super().__init__()
        inner = layer.get("layer", layer)
        both = layer["type"] == "Bidirectional"
        kind = nn.LSTM if inner["type"] == "LSTM" else nn.GRU
        self.steps = kind(features, inner["units"], batch_first=True, bidirectional=both)
        for words, end in ((("forward",), ""), (("backward",), "_reverse")) if both else (((), ""),):
            given = [variable(weights, name, *words) for name in ("kernel", "recurrent_kernel", "bias")]
            self._fill(inner["type"], given, end)

    def _fill(self, kind: str, given: list[Array], end: str) -> None:
        """One direction. Keras's LSTM has one bias, so PyTorch's second one stays 0; its GRU has the gates z, r, h."""
        kernel, recurrent, bias = (_gates(data, kind) for data in given)
        fill(getattr(self.steps, f"weight_ih_l0{end}"), kernel.T)
        fill(getattr(self.steps, f"weight_hh_l0{end}"), recurrent.T)
        second = getattr(self.steps, f"bias_hh_l0{end}")
        fill(getattr(self.steps, f"bias_ih_l0{end}"), bias[0] if bias.ndim == 2 else bias)
        fill(second, bias[1] if bias.ndim == 2 else np.zeros_like(bias))
        second.requires_grad_(bias.ndim == 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last states."""
        _, last = self.steps(x)
        hidden = last[0] if isinstance(last, tuple) else last
        return hidden[0] if len(hidden) == 1 else torch.cat([hidden[0], hidden[1]], 1)


def _gates(data: Array, kind: str) -> Array:
    """The gates in PyTorch's order: as Keras's for LSTM (i, f, c, o), r before z for GRU."""
    if kind == "LSTM":
        return data
    update, reset, candidate = np.split(data, 3, -1)
    return np.concatenate([reset, update, candidate], -1)


class Attention(nn.Module):
    """Self-attention of (batch, time, features), with query, key and value in one product."""

    def __init__(self, layer: Layer, features: int, weights: Named) -> None:
        super().__init__()
        self.heads, self.size, self.rate = layer["num_heads"], layer["key_dim"], layer.get("dropout", 0.0)
        width = self.heads * self.size
        self.project, self.join = nn.Linear(features, 3 * width), nn.Linear(width, features)
        parts = ("query", "key", "value")
        kernels = [variable(weights, "kernel", part).reshape(features, width) for part in parts]
        fill(self.project.weight, np.concatenate(kernels, 1).T)
        fill(self.project.bias, np.concatenate([variable(weights, "bias", part).reshape(width) for part in parts]))
        fill(self.join.weight, variable(weights, "kernel", "output").reshape(width, features).T)
        fill(self.join.bias, variable(weights, "bias", "output"))

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """`other` is x: the definition names what keys and values are made of."""
        batch, time, _ = x.shape
        projected = self.project(x).view(batch, time, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        query, key, value = projected.unbind(0)
        found = functional.scaled_dot_product_attention(query, key, value, dropout_p=self.rate)
        return self.join(found.transpose(1, 2).reshape(batch, time, -1))


class MeanOverTime(nn.Module):
    """(batch, time, features) to (batch, features)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mean."""
        return x.mean(1)


def embedding(layer: Layer, weights: Named) -> nn.Module:
    """Rows of a table."""
    module = nn.Embedding(layer["input_dim"], layer["output_dim"])
    fill(module.weight, weights["embeddings"])
    return module


def layer_norm(layer: Layer, features: int, weights: Named) -> nn.Module:
    """Normalization over the last dimension."""
    module = nn.LayerNorm(features, eps=layer["epsilon"])
    fill(module.weight, weights["gamma"])
    fill(module.bias, weights["beta"])
    return module
