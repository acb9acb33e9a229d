"""Graphs of a model alone, for answers that are wanted before there is any data, loss or optimizer.

The training graph has the mean square of every output as its loss, and ends with the gradients: what any loss and
optimizer need in between, so that FLOPs and memory come within a little of a real job's.
"""

from __future__ import annotations

from engine.autodiff import gradients
from engine.definition.model import Model
from engine.graph.build import build, declare_inputs
from engine.graph.ir import Graph, GraphBuilder
from engine.layers.base import Net

SLOTS = 2
"""Values that the optimizer keeps for each weight: those of Adam, the most usual one."""


def training_graph(model: Model) -> Graph:
    """From the model's inputs to the loss, the gradients and the new statistics."""
    b = GraphBuilder("training")
    net = Net(b, training=True)
    outputs = build(model, net, declare_inputs(model, b))
    b.origin = "loss"
    losses = [b.op("reduce_mean", b.op("square", output), axes=tuple(range(output.type.rank)))
              for output in outputs.values()]
    losses += net.penalties
    losses += [variable.regularizer.build(b, net.now(variable.name))
               for variable in net.variables if variable.regularizer]
    loss = losses[0]
    for other in losses[1:]:
        loss = b.op("add", loss, other)
    weights = [variable.name for variable in net.variables if variable.trainable]
    grads = gradients(b, loss, [net.now(name) for name in weights]) if weights else []
    b.outputs.update({"loss": loss, **{f"gradient {name}": grad for name, grad in zip(weights, grads, strict=True)},
                      **{f"new {statistic.name}": value for statistic, value in net.updates}})
    return b.finish()
