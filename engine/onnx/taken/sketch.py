"""Layers and weights as they are found; in the end a native definition."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import WeightsError
from engine.onnx.taken.flow import Array, Flow, Order, Shape, channels_last, straight
from engine.registry import snake_case

_PARAMETER = re.compile(r"([A-Za-z0-9_\-.]+)\.(weight|bias|running_mean|running_var)")
MAX_NAME = 200


class Sketch:
    """The definition under construction."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: dict[str, Shape] = {}
        self.layers: dict[str, dict[str, Any]] = {}
        self.tensors: dict[str, Array] = {}
        self._reserved: set[str] = set()
        self._shared: dict[tuple[str, ...], str] = {}

    def reserve(self, tensor: str) -> None:
        """Keep the name that a parameter gives its layer from layers without parameters."""
        if owner := owner_of(tensor):
            self._reserved.add(owner)

    def input(self, name: str, shape: Shape, order: Order) -> Flow:
        """What is fed. `shape` is ONNX's."""
        plain = re.sub(r"[/:.]+", "_", name).strip("_")[:MAX_NAME] or "input"
        while plain in self.inputs:
            plain += "_"
        flow = Flow(plain, shape, order)
        self.inputs[plain] = flow.here
        return flow

    def add(self, type: str, inputs: list[Flow], shape: Shape, order: Order, *, weights: dict[str, Array] | None = None,
            tensors: tuple[str, ...] = (), called: str = "", **options: Any) -> Flow:
        """A layer, and its value. `tensors` are the initializers of its weights: the same ones are the same layer.

        It is `called` as they say, or so.
        """
        read = [flow.layer for flow in inputs]
        twin = (type, json.dumps(options, sort_keys=True), *tensors) if weights and all(tensors) else None
        if twin is not None and twin in self._shared:
            name = self._free(self._shared[twin])
            self.layers[name] = {"use": self._shared[twin], "inputs": read}
            return Flow(name, shape, order)
        owner = next(filter(None, map(owner_of, tensors)), called)
        name = self._free(owner, reserved=True) if owner else self._free(snake_case(type))
        self.layers[name] = {"type": type, "inputs": read, **options}
        for variable, array in (weights or {}).items():
            self.tensors[f"{name}/{variable}"] = np.ascontiguousarray(array, np.float32)
        if twin is not None:
            self._shared[twin] = name
        return Flow(name, shape, order)

    def keep(self, type: str, flow: Flow, **options: Any) -> Flow:
        """A layer that works on each number by itself."""
        return replace(self.add(type, [flow], flow.shape, flow.order, **options), image=flow.image)

    def add_bias(self, flow: Flow, bias: Array, tensor: str) -> Flow:
        """Give the layer that computes a value the bias that it does not have yet, and the name that this brings."""
        name, owner = flow.biasless, owner_of(tensor)
        layer = self.layers[name]
        layer["use_bias" if layer["type"] != "EinsumDense" else "bias_axes"] = (
            True if layer["type"] != "EinsumDense" else layer["equation"][-1])
        if owner and owner not in self.layers:
            self.layers = {owner if known == name else known: entry for known, entry in self.layers.items()}
            self.tensors = {re.sub(rf"^{re.escape(name)}/(?=[^/]+$)", f"{owner}/", known): array
                            for known, array in self.tensors.items()}
            name = owner
        self.tensors[f"{name}/bias"] = np.ascontiguousarray(bias, np.float32)
        return Flow(name, flow.shape, flow.order)

    # Orders

    def arranged(self, flow: Flow, order: Order) -> Flow:
        """The value with its dimensions in this order here."""
        flow = self.unfolded(flow)
        if flow.order == order:
            return flow
        dims = [0] * flow.rank
        for dim, place in enumerate(order):
            dims[place] = flow.order[dim] + 1
        moved = [dim for dim in dims if flow.here[dim - 1] > 1]
        here = Flow("", flow.shape, order).here
        if moved == sorted(moved):
            made = self.add("Reshape", [flow], flow.shape, order, target_shape=list(here))
        else:
            made = self.add("Permute", [flow], flow.shape, order, dims=dims)
        return replace(made, nonnegative=flow.nonnegative)

    def natural(self, flow: Flow) -> Flow:
        """The value as ONNX has it."""
        return self.arranged(flow, straight(flow.rank))

    def images(self, flow: Flow) -> Flow:
        """A value with channels first in ONNX, and last here."""
        return self.arranged(flow, channels_last(flow.rank))

    def unfolded(self, flow: Flow) -> Flow:
        """A vector whose features stand as in ONNX."""
        if flow.image is None:
            return flow
        shape, order = flow.image
        image = self.add("Reshape", [flow], tuple(shape[place] for place in order), order, target_shape=list(shape))
        vector = self.add("Flatten", [self.natural(image)], flow.shape, flow.order)
        return replace(vector, nonnegative=flow.nonnegative)

    def reshaped(self, flow: Flow, shape: Shape) -> Flow:
        """ONNX's Reshape to `shape`."""
        if flow.shape == shape:
            return flow
        if flow.image is not None:
            whole, order = flow.image
            if tuple(whole[place] for place in order) == shape:
                made = self.add("Reshape", [flow], shape, order, target_shape=list(whole))
                return replace(made, nonnegative=flow.nonnegative)
            flow = self.unfolded(flow)
        if len(shape) == 1:
            made = self.add("Flatten", [flow], shape, (0,))
            image = (flow.here, flow.order) if _moves(flow) else None
            return replace(made, image=image, nonnegative=flow.nonnegative)
        if [size for size in flow.shape if size > 1] == [size for size in shape if size > 1]:
            order = _without_ones(flow, shape)
        else:
            flow, order = self.natural(flow), straight(len(shape))
        here = Flow("", shape, order).here
        if here == flow.here:
            return flow.turned(shape, order)
        made = self.add("Reshape", [flow], shape, order, target_shape=list(here))
        return replace(made, nonnegative=flow.nonnegative)

    # The end

    def definition(self, outputs: dict[str, Flow]) -> dict[str, Any]:
        """The native definition of what leads to the outputs."""
        named = {name: self.unfolded(flow).layer for name, flow in outputs.items()}
        if lone := [name for name, layer in named.items() if layer in self.inputs]:
            raise WeightsError(f"output {lone[0]}: expected a value that a layer computes, received an input")
        needed, left = set(), list(named.values())
        while left:
            name = left.pop().partition(":")[0]
            if name in self.layers and name not in needed:
                needed.add(name)
                entry = self.layers[name]
                left += [*entry["inputs"], *([entry["use"]] if "use" in entry else [])]
        used = needed | {name for name in self.inputs if any(name in self.layers[each]["inputs"] for each in needed)}
        self.tensors = {name: array for name, array in self.tensors.items() if not needed.isdisjoint(_above(name))}
        return {"name": re.sub(r"[/:]+", "_", self.name)[:MAX_NAME] or "model",
                "inputs": {name: {"shape": list(shape)} for name, shape in self.inputs.items() if name in used},
                "layers": [{"name": name, **entry} for name, entry in self.layers.items() if name in needed],
                "outputs": named}

    def _free(self, wanted: str, *, reserved: bool = False) -> str:
        taken = {*self.layers, *self.inputs, *(() if reserved else self._reserved)}
        name, number = wanted, 0
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        return name


def _above(name: str) -> list[str]:
    """The layers that a weight may belong to: itself or a part of it has the rest of the name."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def owner_of(tensor: str) -> str:
    """The layer's name in that of a parameter: features.0.weight belongs to features/0."""
    match = _PARAMETER.fullmatch(tensor)
    if match is None or len(tensor) > MAX_NAME or "" in match[1].split("."):
        return ""
    return match[1].replace(".", "/")


def _moves(flow: Flow) -> bool:
    """Whether flattening here gives another order of features than in ONNX."""
    places = [place for dim, place in enumerate(flow.order) if flow.shape[dim] > 1]
    return places != sorted(places)


def _without_ones(flow: Flow, shape: Shape) -> Order:
    """The order of a shape that differs from a value's in dimensions of size 1 alone: those stand first here."""
    places = [place for dim, place in enumerate(flow.order) if flow.shape[dim] > 1]
    ranks = {place: rank for rank, place in enumerate(sorted(places))}
    ones = iter(range(sum(size == 1 for size in shape)))
    ahead, rest = sum(size == 1 for size in shape), iter(places)
    assert math.prod(shape) == math.prod(flow.shape)
    return tuple(next(ones) if size == 1 else ahead + ranks[next(rest)] for size in shape)
