"""A sequence read from both ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.errors import pointer_to
from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, type_name, within
from engine.layers.recurrent import Outputs, Recurrent, reversed_steps
from engine.options import Mismatch, Reader, choice, inner, option, optional
from engine.registry import register, snake_case

_layer = inner("layer")
MERGES = {"sum": "add", "mul": "multiply", "ave": "add"}


def _recurrent(value: Any, pointer: str) -> Any:
    layer = _layer(value, pointer)
    if not isinstance(layer, Recurrent):
        raise Mismatch(pointer, "a recurrent layer: RNN, SimpleRNN, LSTM, GRU or ConvLSTM", type_name(layer))
    return layer


_examples = [{"type": "LSTM", "units": 32}, {"type": "GRU", "units": 32}]
recurrent = Reader(_recurrent, {**_layer.schema, "examples": _examples})


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Bidirectional(Layer):
    """A recurrent layer forwards, and one of the same options or `backward_layer` backwards (Schuster and Paliwal,
    1997).

    What both put out for a step is merged: side by side (`concat`), their `sum`, product (`mul`) or average (`ave`), or
    as two outputs (null). Further inputs are the states to start from, the forward layer's first.
    Input shape: (batch, steps, features). Output shape: as the layer's, twice as wide with `concat`.
    """

    layer: Any = option(recurrent)
    merge_mode: str | None = option(optional(choice("concat", "sum", "mul", "ave")), default="concat")
    backward_layer: Any = option(optional(recurrent), default=None)

    arity = (1, None)
    positions = ("sequences", "initial_state")
    supports_masking = True
    samples = (LayerSample({"layer": {"type": "LSTM", "units": 3}}, ((4, 2),), (6,), 144),
               LayerSample({"layer": {"type": "GRU", "units": 3, "return_sequences": True}, "merge_mode": "sum"},
                           ((4, 2),), (4, 3), 126),
               LayerSample({"layer": {"type": "SimpleRNN", "units": 3}, "merge_mode": "ave", "backward_layer": {
                   "type": "GRU", "units": 3, "go_backwards": True}}, ((4, 2),), (3,), 81),
               LayerSample({"layer": {"type": "RNN", "cell": {"type": "LSTMCell", "units": 2},
                                      "return_sequences": True}, "merge_mode": "mul"}, ((4, 2),), (4, 2), 80))

    def check(self, pointer: str) -> None:
        """The two layers go opposite ways and put out the same things."""
        if self.backward_layer is None:
            if self.layer.go_backwards:
                raise Mismatch(pointer_to(pointer_to(pointer, "layer"), "go_backwards"),
                               "false, unless there is a backward_layer that goes forwards", True)
            return
        at = pointer_to(pointer, "backward_layer")
        if self.layer.go_backwards == self.backward_layer.go_backwards:
            raise Mismatch(pointer_to(at, "go_backwards"), f"{not self.layer.go_backwards}, as the layer goes "
                           f"{'backwards' if self.layer.go_backwards else 'forwards'}", self.layer.go_backwards)
        for name in ("return_sequences", "return_state"):
            wanted = getattr(self.layer, name)
            if getattr(self.backward_layer, name) != wanted:
                raise Mismatch(pointer_to(at, name), f"{wanted}, as of the layer", not wanted)

    @property
    def both(self) -> dict[str, Recurrent]:
        """The two layers by the names of their parts."""
        backward = self.backward_layer or replace(self.layer, go_backwards=True)
        return {f"forward_{snake_case(type_name(self.layer))}": self.layer,
                f"backward_{snake_case(type_name(backward))}": backward}

    def build(self, net: Net, *inputs: Value) -> Outputs:
        x, *initial = inputs
        outputs: list[Value] = []
        states: list[Value] = []
        first = 0
        for name, layer in self.both.items():
            count = len(layer.inside.sizes) if initial else 0
            given = tuple(initial[first:] if outputs else initial[:count])
            option = "backward_layer" if outputs and self.backward_layer is not None else "layer"
            with within(option), net.part(name, layer):
                output, last = layer.through(net, x, given, zero=layer.return_sequences)
            if self.layer.go_backwards and self.layer.return_sequences:
                output = reversed_steps(net, output)
            outputs.append(output)
            states += last
            first += count
        merged = self._merge(net, *outputs)
        return (*merged, *states) if self.layer.return_state else merged if len(merged) > 1 else merged[0]

    def _merge(self, net: Net, forward: Value, backward: Value) -> tuple[Value, ...]:
        b = net.b
        if self.merge_mode is None:
            return forward, backward
        if self.merge_mode == "concat":
            return (b.op("concatenate", forward, backward, axis=forward.type.rank - 1),)
        merged = b.op(MERGES[self.merge_mode], forward, backward)
        return (b.op("scale", merged, factor=0.5) if self.merge_mode == "ave" else merged,)

    def compute_mask(self, net: Net, *inputs: Value) -> tuple[Value | None, ...]:
        """The sequence's own for the output of all steps."""
        mask = net.mask(inputs[0]) if self.layer.return_sequences else None
        return (mask,) if self.merge_mode else (mask, mask)

    def keras_attribute(self, part: str) -> str:
        for direction, (name, layer) in zip(("forward_layer", "backward_layer"), self.both.items(), strict=True):
            if part == name:
                return direction
            if not part.startswith(("forward_", "backward_")):
                return layer.keras_attribute(part)
        return part

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """As PyTorch's layer with `bidirectional=True` holds them, if both are of the same class."""
        if len({type(layer.inside) for layer in self.both.values()}) > 1:
            return super().torch_state(variables)
        found: dict[str, np.ndarray[Any, Any]] = {}
        for suffix, (name, layer) in zip(("", "_reverse"), self.both.items(), strict=True):
            own = {key.removeprefix(f"{name}/"): array for key, array in variables.items() if key.startswith(name)}
            found |= {f"{key}{suffix}": array for key, array in layer.torch_state(own).items()}
        return found
