"""Gradients of an activation and a bias in front of max pooling are taken behind it, where there are fewer elements.

A pixel that was not chosen has no gradient, and one that was has the pooled value: the mask of `relu` is that of the
pooled value, and a sum over pixels is one over windows.
"""

from __future__ import annotations

from engine.graph.ir import Graph, Node, Value, rebuild

MASKS = ("relu_grad", "relu6_grad")
"""Derivatives, as functions of the result, that let a gradient through or make it zero."""


def pool_gradients(graph: Graph) -> Graph:
    """`relu_grad(y, max_pool2d_grad(g, chosen))` and `reduce_sum(max_pool2d_grad(g, chosen))` without the full size."""
    users, outputs = graph.users(), set(graph.outputs.values())
    producers = graph.producers()
    kept: dict[Node, None] = {}
    for node in graph.nodes:
        kept[node] = None
        spread = producers.get(node.inputs[-1]) if node.inputs else None
        if spread is None or spread.op.name != "max_pool2d_grad":
            continue
        gradient, chosen = spread.inputs
        if node.op.name in MASKS:
            pooling = producers.get(chosen)
            if (pooling is None or pooling.op.name != "max_pool2d" or pooling.inputs[0] is not node.inputs[0]
                    or len(users[spread.outputs[0]]) > 1 or spread.outputs[0] in outputs):
                continue
            masked = Node(node.op, (pooling.outputs[0], gradient), node.attrs, (Value(gradient.type, "node"),),
                          node.origin)
            made = [masked, Node(spread.op, (masked.outputs[0], chosen), spread.attrs, node.outputs, spread.origin)]
            del kept[spread]
        elif node.op.name == "reduce_sum" and set(node.attrs["axes"]) == {0, 1, 2}:
            made = [Node(node.op, (gradient,), node.attrs, node.outputs, node.origin)]
        else:
            continue
        del kept[node]
        kept |= dict.fromkeys(made)
        producers |= {output: step for step in made for output in step.outputs}
    return rebuild(graph, kept)
