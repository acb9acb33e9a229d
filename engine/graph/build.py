"""A model -> its graph. Training, evaluation and prediction build on the same function with other inputs around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.graph.ir import Graph, GraphBuilder, Value
from engine.graph.references import reference
from engine.layers.base import Net
from engine.types import Batch, Type

if TYPE_CHECKING:
    from engine.definition.model import Model


def build(model: Model, net: Net, inputs: Mapping[str, Value]) -> dict[str, Value]:
    """Build all layers on these inputs, float32 (batch, …) by the model's names. The model's outputs by name."""
    values = dict(inputs)
    for node in model.layers:
        outputs = net.call(node.name, node.layer, tuple(values[name] for name in node.inputs),
                           keywords={name: values[value] for name, value in node.keywords.items()},
                           arguments=node.arguments, trainable=node.trainable, owner=node.owner)
        values.update((reference(node.name, index), value) for index, value in enumerate(outputs))
    return {name: values[value] for name, value in model.outputs.items()}


def declare_inputs(model: Model, b: GraphBuilder) -> dict[str, Value]:
    """An input of the graph for each of the model's."""
    return {name: b.input(name, Type((Batch(), *shape))) for name, shape in model.inputs.items()}


def forward_graph(model: Model, *, training: bool = False) -> tuple[Graph, Net]:
    """The graph from the model's inputs to its outputs, and what its layers declared."""
    net = Net(GraphBuilder("forward"), training=training)
    outputs = build(model, net, declare_inputs(model, net.b))
    net.b.outputs.update(outputs)
    return net.b.finish(), net
