"""Layers that go through a sequence step by step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from engine.cells.base import Cell, Steps, name_of
from engine.cells.gated import Gated
from engine.cells.gru_cell import GRUCell
from engine.cells.lstm_cell import LSTMCell
from engine.cells.simple_rnn_cell import SimpleRNNCell
from engine.graph.ir import Value
from engine.layers.base import ArgumentMismatch, Layer, LayerSample, Net, text, within
from engine.layers.weighted import regularizer
from engine.ops.base import ShapeMismatch
from engine.options import boolean, inner, only, option
from engine.registry import register
from engine.regularizers.base import Regularizer

Outputs = Value | tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class Recurrent(Layer):
    """What the layers share: which of the outputs are wanted, and in which direction they go."""

    return_sequences: bool = option(boolean, default=False)
    return_state: bool = option(boolean, default=False)
    go_backwards: bool = option(boolean, default=False)
    stateful: bool = option(only(False, "states do not live on from batch to batch"), default=False)
    unroll: bool = option(boolean, default=False)
    zero_output_for_mask: bool = option(boolean, default=False)

    cell_option: ClassVar[str] = ""
    """Where the cell's options stand, if not among the layer's own."""
    arity = (1, None)
    positions = ("sequences", "initial_state")
    supports_masking = True

    @property
    @abstractmethod
    def inside(self) -> Cell:
        """The cell."""

    def build(self, net: Net, *inputs: Value) -> Outputs:
        outputs, states = self.through(net, inputs[0], inputs[1:], zero=self.zero_output_for_mask)
        if self.return_sequences and self.go_backwards:
            outputs = reversed_steps(net, outputs)
        return (outputs, *states) if self.return_state else outputs

    def through(self, net: Net, x: Value, initial: tuple[Value, ...], *, zero: bool) -> tuple[Value, tuple[Value, ...]]:
        """The output and the last states; of all steps in the sequence's order. `zero`: where the mask is 0."""
        b = net.b
        if x.type.rank < 3:
            raise ShapeMismatch("rank 3 (batch, steps, features)", text(x.shape))
        with within(self.cell_option):
            shapes = self.inside.state_shapes(x)
        if initial and tuple(state.shape for state in initial) != shapes:
            expected = ", ".join(map(text, shapes))
            raise ArgumentMismatch(f"initial states of shapes {expected}", ", ".join(text(s.shape) for s in initial))
        mask = net.explicit_mask if initial else net.mask(x)  # Keras hands no mask on to a call of several tensors
        if mask is not None and mask.shape != x.shape[:2]:
            raise ShapeMismatch("a mask (batch, steps)", text(mask.shape))
        given = Steps(x, mask, initial or None, self.go_backwards)
        with within(self.cell_option):
            outputs, states = self.inside.run(net, given, name_of(self.inside))
        if mask is not None and (zero or initial):
            shown = mask if zero else seen(net, mask, backwards=self.go_backwards)
            ones = (1,) * (outputs.type.rank - 2)
            outputs = b.op("where", b.op("reshape", shown, shape=(*shown.shape, *ones)), outputs, b.constant(0.0))
        if not self.return_sequences:
            last = 0 if self.go_backwards else x.shape[1] - 1
            outputs = b.op("slice", outputs, axis=1, start=last, stop=last + 1)
            outputs = b.op("reshape", outputs, shape=(outputs.shape[0], *outputs.shape[2:]))
        return outputs, states

    def compute_mask(self, net: Net, *inputs: Value) -> tuple[Value | None, ...]:
        """The sequence's own, if all steps come out; states have none."""
        return (net.mask(inputs[0]) if self.return_sequences else None,)

    def keras_attribute(self, part: str) -> str:
        return self.inside.attribute_of(part)

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """As `torch.nn.LSTM`, GRU or RNN of one layer holds them; other cells by our names."""
        cell = self.inside
        found = cell.torch_state({name.rpartition("/")[2]: array for name, array in variables.items()}) if (
            isinstance(cell, Gated)) else {}
        return {f"{name}_l0": array for name, array in found.items()} or super().torch_state(variables)


def reversed_steps(net: Net, x: Value) -> Value:
    """The steps from the last to the first."""
    taps = tuple(((place, 1.0),) for place in reversed(range(x.shape[1])))
    return net.b.op("resample", x, axis=1, taps=taps)


def seen(net: Net, mask: Value, *, backwards: bool) -> Value:
    """Above 0 from the first step on that counts."""
    steps = mask.shape[1]
    before = np.tri(steps) if backwards else np.tri(steps).T
    return net.b.op("matmul", mask, net.b.constant(before))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RNN(Recurrent):
    """A cell, at every step given what it kept of the steps before.

    Further inputs are the states to start from. Input shape: (batch, steps, features). Output shape: (batch, units),
    with `return_sequences` (batch, steps, units); with `return_state` followed by the last states.
    """

    cell: Any = option(inner("cell"))

    cell_option = "cell"
    samples = (LayerSample({"cell": {"type": "SimpleRNNCell", "units": 3}}, ((4, 2),), (3,), 18),
               LayerSample({"cell": {"type": "StackedRNNCells", "cells": [
                   {"type": "LSTMCell", "units": 3}, {"type": "LSTMCell", "units": 2}]}}, ((4, 5),), (2,), 156),
               LayerSample({"cell": {"type": "GRUCell", "units": 3, "reset_after": False}, "return_sequences": True,
                            "go_backwards": True}, ((4, 2),), (4, 3), 54))

    @property
    def inside(self) -> Cell:
        cell: Cell = self.cell
        return cell


@dataclass(frozen=True, kw_only=True)
class OfCell(Recurrent):
    """A recurrent layer that has its cell's options for its own: a subclass of both."""

    activity_regularizer: Regularizer | None = option(regularizer, default=None)

    cell_type: ClassVar[type[Cell]]
    size_option = "units"

    @property
    def inside(self) -> Cell:
        return self.cell_type(**{field.name: getattr(self, field.name) for field in fields(self.cell_type)})


@register("layer")
@dataclass(frozen=True, kw_only=True)
class SimpleRNN(OfCell, SimpleRNNCell):
    """h = activation(x kernel + h recurrent_kernel + bias), step by step.

    Further inputs are the states to start from. Input shape: (batch, steps, features). Output shape: (batch, units),
    with `return_sequences` (batch, steps, units); with `return_state` followed by the last state.
    """

    cell_type = SimpleRNNCell
    samples = (LayerSample({"units": 3}, ((4, 2),), (3,), 18),
               LayerSample({"units": 4, "return_sequences": True, "activation": "relu", "use_bias": False},
                           ((3, 5),), (3, 4), 36),
               LayerSample({"units": 2, "recurrent_dropout": 0.3, "dropout": 0.2, "seed": 4}, ((3, 2),), (2,), 10))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class LSTM(OfCell, LSTMCell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), step by step.

    Further inputs are the states h and c to start from. Input shape: (batch, steps, features). Output shape: (batch,
    units), with `return_sequences` (batch, steps, units); with `return_state` followed by the last h and c.
    """

    cell_type = LSTMCell
    samples = (LayerSample({"units": 3}, ((4, 2),), (3,), 72),
               LayerSample({"units": 17, "return_sequences": True, "go_backwards": True}, ((3, 5),), (3, 17), 1564),
               LayerSample({"units": 3, "activation": "softsign", "unit_forget_bias": False}, ((4, 2),), (3,), 72),
               LayerSample({"units": 2, "recurrent_dropout": 0.3, "dropout": 0.2}, ((3, 2),), (2,), 40))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class GRU(OfCell, GRUCell):
    """Gated recurrent units (Cho et al., EMNLP 2014), step by step.

    Further inputs are the states to start from. Input shape: (batch, steps, features). Output shape: (batch, units),
    with `return_sequences` (batch, steps, units); with `return_state` followed by the last state.
    """

    cell_type = GRUCell
    samples = (LayerSample({"units": 3}, ((4, 2),), (3,), 63),
               LayerSample({"units": 3, "reset_after": False, "return_sequences": True}, ((4, 2),), (4, 3), 54),
               LayerSample({"units": 18, "use_bias": False, "dropout": 0.5}, ((3, 5),), (18,), 1242),
               LayerSample({"units": 2, "recurrent_dropout": 0.3, "dropout": 0.2}, ((3, 2),), (2,), 36))
