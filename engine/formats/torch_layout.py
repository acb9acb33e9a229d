"""Weights as the equivalent PyTorch module holds them: `module.load_state_dict(safetensors.torch.load_file(file))`.

The module has an attribute for each layer, called as the layer is (`encoder/dense` is `encoder.dense`), and works on
(batch, channels, height, width): the rows of a Dense behind a Flatten are put into the order in which it flattens.
"""

from __future__ import annotations

import math

import numpy as np

from engine.definition.model import LayerNode, Model
from engine.formats.base import Tensor, Tensors
from engine.graph.build import forward_graph
from engine.layers.base import Layer, type_name


def torch_tensors(model: Model, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of a model by PyTorch's names, in PyTorch's layouts."""
    nodes = {node.name: node for node in model.layers if node.shares is None}
    found: dict[str, Tensor] = {}
    own: dict[str, dict[str, Tensor]] = {}
    for variable in forward_graph(model)[1].variables:
        own.setdefault(variable.layer, {})[variable.name.removeprefix(f"{variable.layer}/")] = tensors[variable.name]
    for name, variables in own.items():
        layer = nodes[name].layer
        if (image := _flattened(model, nodes[name])) is not None and "kernel" in variables:
            variables["kernel"] = _channels_first(variables["kernel"], image)
        module = name.replace("/", ".")
        for attribute, tensor in layer.torch_state(variables).items():
            found[f"{module}.{attribute.replace('/', '.')}"] = np.ascontiguousarray(tensor)
    return found


def _flattened(model: Model, node: LayerNode) -> tuple[int, ...] | None:
    """The shape (…, channels) of what a Flatten in front of this Dense flattens."""
    if type_name(node.layer) != "Dense":
        return None
    source = next((other for other in model.layers if other.name == node.inputs[0]), None)
    while source is not None and _passes(source.layer):
        source = next((other for other in model.layers if other.name == source.inputs[0]), None)
    if source is None or type_name(source.layer) != "Flatten":
        return None
    shape = tuple(int(dim) for dim in model.types[source.inputs[0]].shape[1:])  # type: ignore[arg-type]
    return shape if len(shape) > 1 else None


def _passes(layer: Layer) -> bool:
    """Whether a layer leaves the order of features as it is, and knows nothing of it."""
    return type_name(layer) in ("Dropout", "Activation", "ReLU", "Identity", "GaussianNoise", "GaussianDropout")


def _channels_first(kernel: Tensor, image: tuple[int, ...]) -> Tensor:
    """Rows of (…, channels) order in (channels, …) order."""
    assert kernel.shape[0] == math.prod(image)
    units = kernel.shape[1]
    return np.moveaxis(kernel.reshape(*image, units), -2, 0).reshape(-1, units)
