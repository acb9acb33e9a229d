"""LSTM, GRU and RNN: sequences in ONNX have their steps in front of the batch, and gates stand in other orders."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from engine.onnx.taken.flow import Array, Constant, Flow, straight
from engine.onnx.taken.node import Node, Outputs, takes

GATES = {"LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2), "RNN": (0,)}
"""Where our gates (i, f, c, o; z, r, h) stand among ONNX's (i, o, f, c; z, r, h)."""
LAYERS = {"LSTM": "LSTM", "GRU": "GRU", "RNN": "SimpleRNN"}
USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
STATES, INITIAL = {"LSTM": 2, "GRU": 1, "RNN": 1}, 5
"""How many states there are; the input that is the first of them to start from."""
_SCOPE = re.compile(r"/([\w.\-/]+)/(?:LSTM|GRU|RNN)(?:_\d+)?")
"""The module's name in that of a node, as PyTorch writes it."""


@takes(*GATES)
def _recurrent(node: Node) -> Outputs:
    x, width = node.flow(anyhow=True), int(node.attributes["hidden_size"])
    behind = int(node.attributes.get("layout", 0)) == 0
    if x.rank != 2 or x.batch != int(behind):
        raise node.refuse("(steps, batch, features)" if behind else "(batch, steps, features)",
                          f"rank {x.rank + 1}, the batch as dimension {x.batch}")
    if not behind:
        raise node.refuse("layout 0", "layout 1")
    direction = node.attributes.get("direction", "forward")
    if direction not in ("forward", "bidirectional"):
        raise node.refuse("forward or bidirectional", direction)
    _refuse_the_unusual(node)
    steps = x.shape[0]
    x = node.sketch.natural(replace(x, batch=0))
    sides = 2 if direction == "bidirectional" else 1
    layer, weights = _layer(node, width, sides, x.shape[1])
    sequences = 0 in node.wanted
    states = 2 in node.wanted or (sequences and 1 in node.wanted)
    layer |= {"return_sequences": sequences, "return_state": states}
    options: dict[str, Any] = {"layer": layer} if sides == 2 else layer
    kind = options.pop("type") if sides == 1 else "Bidirectional"
    scope = _SCOPE.fullmatch(node.name)
    shape = (steps, sides * width) if sequences else (sides * width,)
    made = node.sketch.add(kind, [x], shape, straight(len(shape)), weights=weights,
                           called=scope[1].replace(".", "/") if scope else "", **options)
    last = made if not sequences else None
    found: list[Any] = [None] * 3
    if sequences:
        found[0] = replace(node.sketch.reshaped(made, (steps, sides, width)), batch=2)
    for place in (1, 2):
        if place in node.wanted:
            state = last if place == 1 and last is not None else _state(node, made.layer, place, sides, width)
            found[place] = replace(node.sketch.reshaped(state, (sides, width)), batch=1)
    return found


def _state(node: Node, layer: str, place: int, sides: int, width: int) -> Flow:
    """A state behind the outputs of a layer; of both sides, one behind the other."""
    several = STATES[node.operator]
    flows = [Flow(f"{layer}:{place + side * several}", (width,), (0,)) for side in range(sides)]
    return flows[0] if sides == 1 else node.sketch.add("Concatenate", flows, (sides * width,), (0,), axis=1)


def _refuse_the_unusual(node: Node) -> None:
    """Whatever our layers do not have, unless it says what they do. Raises WeightsError."""
    usual = USUAL[node.operator]
    given = [str(name) for name in node.attributes.get("activations", ())]
    if given and given not in (usual, usual * 2):
        raise node.refuse(f"activations {usual}", str(given))
    if node.attributes.get("clip") or node.attributes.get("input_forget"):
        raise node.refuse("neither clip nor input_forget", "one")
    lengths = node.optional(4)
    if lengths is not None:
        raise node.refuse("sequences of one length", "sequence_lens")
    for place in range(INITIAL, INITIAL + STATES[node.operator]):
        given_state = node.inputs[place] if place < len(node.inputs) else None
        if given_state is not None and not (isinstance(given_state, Constant) and not given_state.array.any()):
            raise node.refuse("zeros as initial states", "others")
    if len(node.inputs) > INITIAL + 2 and node.inputs[INITIAL + 2] is not None:
        raise node.refuse("no peepholes", "some")


def _layer(node: Node, width: int, sides: int, features: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """The layer of one direction, and the weights of all."""
    gates, order = len(GATES[node.operator]), GATES[node.operator]
    kernel, recurrent = (_shaped(node, place, (sides, gates * width, size))
                         for place, size in ((1, features), (2, width)))
    bias = _shaped(node, 3, (sides, 2 * gates * width)) if node.optional(3) is not None else None
    options: dict[str, Any] = {"type": LAYERS[node.operator], "units": width, "use_bias": bias is not None}
    apart = node.operator == "GRU" and bool(node.attributes.get("linear_before_reset", 0))
    if node.operator == "GRU":
        options["reset_after"] = apart
    weights: dict[str, Array] = {}
    cell = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn"}[options["type"]]
    for side in range(sides):
        part = ("" if sides == 1 else f"{('forward', 'backward')[side]}_{cell}/") + f"{cell}_cell/"

        def arranged(array: Array) -> Array:
            """(gates * width, …) with our order of gates, the gates last."""
            split = array.reshape(gates, width, -1)[list(order)]
            return split.reshape(gates * width, -1).T

        weights |= {f"{part}kernel": arranged(kernel[side]), f"{part}recurrent_kernel": arranged(recurrent[side])}
        if bias is not None:
            both = bias[side].reshape(2, gates * width)
            halves = [arranged(half)[0] for half in both]
            weights[f"{part}bias"] = np.stack(halves) if apart else halves[0] + halves[1]
    return options, weights


def _shaped(node: Node, place: int, shape: tuple[int, ...]) -> Array:
    array = node.constant(place).array
    if array.shape != shape:
        raise node.refuse(f"shape {shape} as input {place}", f"shape {array.shape}")
    return array
