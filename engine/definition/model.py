"""A model: inputs, layers in an execution order, outputs; complete and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.definition.assemble import Assembled, LayerNode, assemble
from engine.definition.draft import Draft, Faults
from engine.definition.keras import is_keras, read_keras
from engine.definition.native import read_native
from engine.definition.template import is_template, read_template
from engine.errors import show
from engine.options import Mismatch, Reader, parse, write
from engine.types import Type

__all__ = ["LayerNode", "Model", "draft_model", "finish_model", "parse_model"]


@dataclass(frozen=True)
class Model:
    """`inputs` are shapes without the batch; `outputs` names the value of each output.

    `types` holds the type of every value; see `LayerNode` for their names.
    """

    name: str
    inputs: Mapping[str, tuple[int, ...]]
    layers: tuple[LayerNode, ...]
    outputs: Mapping[str, str]
    types: Mapping[str, Type] = field(compare=False, repr=False)
    compiled: Mapping[str, Any] | None = None
    """Optimizer, loss and metrics that a job takes where it says nothing of its own, as they were written."""

    def to_json(self) -> dict[str, Any]:
        """The native form with all defaults filled in."""
        return {
            "name": self.name,
            "inputs": {name: {"shape": list(shape), "dtype": "float32"} for name, shape in self.inputs.items()},
            "layers": [_write_layer(node) for node in self.layers],
            "outputs": dict(self.outputs),
            **({"compile_config": dict(self.compiled)} if self.compiled else {}),
        }

    def output_shape(self, output: str) -> tuple[int, ...]:
        """An output's shape without the batch."""
        return tuple(dim for dim in self.types[self.outputs[output]].shape[1:] if isinstance(dim, int))


def _write_layer(node: LayerNode) -> dict[str, Any]:
    options = write(node.layer)
    inputs: Any = list(node.inputs)
    if node.keywords:
        inputs = {node.layer.positions[0]: inputs, **node.keywords}
    call = {"name": node.name, "inputs": inputs, **({"arguments": dict(node.arguments)} if node.arguments else {})}
    if node.shares:
        return {"use": node.shares, **call}
    return {"type": options.pop("type"), **call, "trainable": node.trainable, **options}


def parse_model(document: Any, pointer: str = "/model") -> Model:
    """Read a definition, native or Keras 3's `to_json()`. Raises DefinitionError with every fault."""

    def read(value: Any, at: str) -> Model:
        faults = Faults()
        draft = draft_model(value, at, faults)
        if not draft.inputs:
            faults.missing(draft.inputs_pointer, 'an object {name: {"shape": […]}} (only a job\'s data can supply it)')
        for entry in draft.inputs:
            if entry.shape is None:
                faults.missing(entry.shape_pointer, "a shape like [28, 28, 1] (only a job's data can supply it)")
        shapes = {entry.name: entry.shape for entry in draft.inputs if entry.shape is not None}
        model, _ = finish_model(draft, shapes, faults)
        return model

    model: Model = parse(Reader(read, {}), document, pointer)
    return model


def draft_model(document: Any, pointer: str, faults: Faults, depth: int = 0) -> Draft:
    """The definition as written; what is at fault is noted. Raises Mismatch for what is no definition at all."""
    if not isinstance(document, Mapping):
        raise Mismatch(pointer, 'a model\'s definition, {"inputs": …, "layers": […]}', show(document))
    read = read_keras if is_keras(document) else read_template if is_template(document) else read_native
    return read(document, pointer, faults, depth)


def finish_model(draft: Draft, shapes: Mapping[str, tuple[int, ...]], faults: Faults) -> tuple[Model, Assembled]:
    """The model of a draft with these input shapes. Raises Mismatch with all faults, those already noted included."""
    parts = assemble(draft, shapes, faults)
    return Model(draft.name, parts.inputs, parts.layers, parts.outputs, parts.types, draft.compiled), parts
