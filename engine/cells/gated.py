"""Cells with a kernel for the input, one for the state, and dropout of both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.activations.base import Activation
from engine.activations.functions import Tanh
from engine.cells.base import Cell, States, Steps, at_once, one_by_one, plain, project, split, zeros
from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.constant import Zeros
from engine.initializers.orthogonal import Orthogonal
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import Net, text
from engine.layers.dropout import share
from engine.layers.randomness import seed_option, stream
from engine.layers.weighted import constraint, initializer, regularizer
from engine.ops.base import ShapeMismatch
from engine.options import boolean, entry, integer, option, optional
from engine.recurrence import RECURRENCES
from engine.regularizers.base import Regularizer

activation_option = optional(entry("activation"))


@dataclass(frozen=True)
class Weights:
    """A cell's variables in a graph, and the factors (batch, …) of its dropout: one for all gates, or one for each."""

    kernel: Value
    recurrent: Value
    bias: Value | None
    inputs: tuple[Value, ...] = ()
    states: tuple[Value, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kernels(Cell):
    """The options of cells that have a kernel for the input and one for the state.

    In training a share `dropout` of the input's values is left out, the same at all steps, and a share
    `recurrent_dropout` of the state's (Gal and Ghahramani, NIPS 2016).
    """

    activation: Activation | None = option(activation_option, default=Tanh())
    use_bias: bool = option(boolean, default=True)
    kernel_initializer: Initializer = option(initializer, default=GlorotUniform())
    recurrent_initializer: Initializer = option(initializer, default=Orthogonal())
    bias_initializer: Initializer = option(initializer, default=Zeros())
    kernel_regularizer: Regularizer | None = option(regularizer, default=None)
    recurrent_regularizer: Regularizer | None = option(regularizer, default=None)
    bias_regularizer: Regularizer | None = option(regularizer, default=None)
    kernel_constraint: Constraint | None = option(constraint, default=None)
    recurrent_constraint: Constraint | None = option(constraint, default=None)
    bias_constraint: Constraint | None = option(constraint, default=None)
    dropout: float = option(share, default=0.0)
    recurrent_dropout: float = option(share, default=0.0)
    seed: int | None = option(seed_option, default=None)

    @property
    def start(self) -> Initializer:
        """The bias's initializer."""
        return self.bias_initializer

    def drops(self, net: Net, x: Value, rate: float, shape: tuple[int, ...], count: int) -> tuple[Value, ...]:
        """Factors (batch, *shape) of 0 or 1 / (1 - rate), as many as the gates that draw their own."""
        streams = [stream(net, self.seed) for _ in range(count)] if rate else []
        if not net.training:
            return ()
        return tuple(net.b.op("random_mask", x, shape=(x.shape[0], *shape), rate=rate, kept=1 / (1 - rate),
                              stream=number) for number in streams)


@dataclass(frozen=True, kw_only=True)
class Gated(Kernels):
    """The options that SimpleRNN, LSTM and GRU share."""

    units: int = option(integer(minimum=1, maximum=65_536))

    recurrence: ClassVar[str]

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.units,) * RECURRENCES[self.recurrence].states

    @property
    def gates(self) -> int:
        """How many blocks of units the kernels have."""
        return RECURRENCES[self.recurrence].gates

    @property
    def gate(self) -> Activation | None:
        """The activation of the gates, where there are any."""
        return self.activation

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """The bias's."""
        return (self.gates * self.units,)

    @property
    def quick(self) -> bool:
        """Whether the options are those of the op for all steps, dropout of the state apart."""
        return plain(self.activation) is not None and plain(self.gate) is not None

    torch_order: ClassVar[tuple[int, ...]]
    """Our gates in the order of PyTorch's."""

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """The variables by the names, and in the layouts, of PyTorch's layer of this cell.

        It adds two biases everywhere: ours stands in the first one, unless the cell has two.
        """
        def ordered(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            blocks = np.split(array, self.gates, -1)
            return np.concatenate([blocks[place] for place in self.torch_order], -1).T

        found = {"weight_ih": ordered(variables["kernel"]), "weight_hh": ordered(variables["recurrent_kernel"])}
        if "bias" in variables:
            bias = variables["bias"]
            first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
            found |= {"bias_ih": ordered(first), "bias_hh": ordered(second)}
        return found

    @abstractmethod
    def step(self, net: Net, weights: Weights, x: list[Value], states: States) -> States:
        """The states after a step from the gates' inputs x (batch, units), biases of the input included."""

    def run(self, net: Net, given: Steps, name: str) -> tuple[Value, States]:
        if given.x.type.rank != 3:
            raise ShapeMismatch("rank 3 (batch, steps, features)", text(given.x.shape))
        with net.part(name, self):
            weights = self._weights(net, given.x)
        shares = self._shares(net, given.x, weights)
        if self.quick and not weights.states:
            activation, gate = plain(self.activation), plain(self.gate)
            assert activation is not None and gate is not None
            return at_once(net, given, shares, weights.recurrent, self.inner_bias(net, weights), cell=self.recurrence,
                           activation=activation, gate=gate)
        return self.slowly(net, given, shares, weights)

    def slowly(self, net: Net, given: Steps, shares: Value, weights: Weights) -> tuple[Value, States]:
        """All steps one by one; `shares` is the input's share of every gate at all steps."""
        def step(place: int, states: States) -> States:
            now = net.b.op("slice", shares, axis=1, start=place, stop=place + 1)
            now = net.b.op("reshape", now, shape=(now.shape[0], now.shape[2]))
            return self.step(net, weights, split(net, now, self.gates), states)

        initial = given.initial or tuple(zeros(net, given.x, (size,)) for size in self.sizes)
        return one_by_one(net, given, initial, step)

    def inner_bias(self, net: Net, weights: Weights) -> list[Value]:
        """The state's bias, for a cell that has one."""
        return []

    def outer_bias(self, net: Net, weights: Weights) -> Value | None:
        """The input's bias."""
        return weights.bias

    def _weights(self, net: Net, x: Value) -> Weights:
        kernel = net.weight("kernel", (x.shape[-1], self.gates * self.units), self.kernel_initializer,
                            regularizer=self.kernel_regularizer)
        recurrent = net.weight("recurrent_kernel", (self.units, self.gates * self.units), self.recurrent_initializer,
                               regularizer=self.recurrent_regularizer, options="recurrent")
        bias = net.weight("bias", self.bias_shape, self.start,
                          regularizer=self.bias_regularizer) if self.use_bias else None
        masks = self.gates if self.recurrent_dropout and self.gates > 1 else 1
        inputs = self.drops(net, x, self.dropout, (1, x.shape[-1]), masks)
        states = self.drops(net, x, self.recurrent_dropout, (self.units,), masks)
        return Weights(kernel, recurrent, bias, inputs, states)

    def _shares(self, net: Net, x: Value, weights: Weights) -> Value:
        """The input's share of the gates at all steps, (batch, steps, gates units)."""
        b, bias = net.b, self.outer_bias(net, weights)
        if len(weights.inputs) <= 1:
            for mask in weights.inputs:
                x = b.op("multiply", x, mask)
            return project(net, x, weights.kernel, bias)
        kernels = split(net, weights.kernel, self.gates)
        found = b.op("concatenate", *(project(net, b.op("multiply", x, mask), kernel, None)
                                      for mask, kernel in zip(weights.inputs, kernels, strict=True)), axis=2)
        return found if bias is None else b.op("add", found, bias)

    def inner(self, net: Net, weights: Weights, state: Value) -> list[Value]:
        """The state's share of each gate, without a bias."""
        b = net.b
        if len(weights.states) <= 1:
            for mask in weights.states:
                state = b.op("multiply", state, mask)
            return split(net, b.op("matmul", state, weights.recurrent), self.gates)
        kernels = split(net, weights.recurrent, self.gates)
        return [b.op("matmul", b.op("multiply", state, mask), kernel)
                for mask, kernel in zip(weights.states, kernels, strict=True)]
