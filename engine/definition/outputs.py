"""What a job's outputs must look like: each output's loss and metrics against the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.definition.assemble import LayerNode
from engine.definition.draft import Faults
from engine.definition.metrics import complete
from engine.definition.model import Model
from engine.errors import nearest, pointer_to, show
from engine.layers.activation import Activation, Softmax
from engine.layers.weighted import Weighted
from engine.losses.base import Loss
from engine.losses.crossentropy import BinaryCrossentropy, Crossentropy
from engine.losses.target import Target
from engine.metrics.base import Metric


def for_outputs(given: Any, model: Model, pointer: str, faults: Faults) -> dict[str, tuple[Any, str]]:
    """One value for every output, or `{output: value}`; each with its pointer."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(model.outputs, (given, pointer))
    for name in given:
        if name not in model.outputs:
            hint = nearest(name, model.outputs)
            faults.add(pointer_to(pointer, name), "the name of an output", f"{show(name)}{hint}")
    return {name: (given[name], pointer_to(pointer, name)) for name in model.outputs if given.get(name) is not None}


def check_loss(model: Model, places: Mapping[str, str], output: str, loss: Loss, target: Target, pointer: str,
               faults: Faults) -> bool:
    """Note a fault unless the output's shape is one that the loss can compare with the target."""
    if target.kind not in loss.accepts:
        wanted = "classes" if loss.wants == "classes" else "numbers"
        received = f"a target of {_classes(target.classes)}" if target.kind == "classes" else "a target of numbers"
        faults.add(pointer, f"a loss that fits the data's target ({type(loss).__name__} needs {wanted})", received)
        return False
    shape = model.output_shape(output)
    expected = loss.expected_outputs(target)
    if loss.fits(target, shape):
        return True
    because = _classes(target.classes) if target.kind == "classes" else f"a target of shape {_shape(target.shape)}"
    layer = _deciding(model, output)
    if layer is not None and len(shape) == len(expected[0]) and shape[:-1] == expected[0][:-1]:
        size = layer.layer.size_option
        assert size is not None
        faults.add(pointer_to(places[layer.name], size), f"{expected[0][-1]}, as {type(loss).__name__} has {because}",
                   show(getattr(layer.layer, size)))
    else:
        faults.add(pointer, f"an output of shape {_shape(expected[0])}, as {type(loss).__name__} has {because}",
                   _shape(shape))
    return False


def _deciding(model: Model, output: str) -> LayerNode | None:
    """The layer whose option is the size of the output's last dimension, if one is."""
    nodes = {node.name: node for node in model.layers}
    node: LayerNode | None = nodes.get(model.outputs[output])
    # A layer that has neither a size of its own nor changes its only input's shape does not decide it.
    while (node is not None and node.layer.size_option is None and len(node.inputs) == 1
           and model.types[node.name] == model.types[node.inputs[0]]):
        node = nodes.get(node.inputs[0])
    return node if node is not None and node.layer.size_option in ("units", "filters") else None


def _classes(count: int | None) -> str:
    return "1 class" if count == 1 else f"{count} classes"


def check_metrics(model: Model, output: str, given: tuple[Any, ...], target: Target, pointer: str,
                  faults: Faults) -> tuple[Metric, ...]:
    """The metrics of an output, completed; each must fit, and have a name of its own."""
    shape = model.output_shape(output)
    metrics: list[Metric] = []
    for index, read in enumerate(given):
        at = pointer_to(pointer, index)
        metric = complete(read, target, shape)
        if fault := metric.fault(target, shape):
            expected, _, received = fault.removeprefix("expected ").partition(", received ")
            faults.add(at, expected, received)
        elif metric.log_name == "loss" or any(other.log_name == metric.log_name for other in metrics):
            faults.add(at, "a metric with a name of its own", f"{show(metric.log_name)} again")
        else:
            metrics.append(metric)
    return tuple(metrics)


def warn_about_logits(model: Model, output: str, loss: Loss) -> str | None:
    """The most frequent silent mistake: probabilities taken for logits, or logits for probabilities."""
    if not isinstance(loss, Crossentropy):
        return None
    ends_with = _last_function(model, output)
    wanted = "sigmoid" if isinstance(loss, BinaryCrossentropy) else "softmax"
    if loss.from_logits and ends_with in ("softmax", "sigmoid"):
        return (f"output {output!r} ends with {ends_with}, but {type(loss).__name__} has from_logits true: "
                f"it applies {wanted} a second time")
    if not loss.from_logits and ends_with == "linear":
        return (f"output {output!r} ends without an activation, but {type(loss).__name__} has from_logits false: "
                f"it expects probabilities, as {wanted} gives them")
    return None


def warn_about_metrics(output: str, loss: Loss, metrics: tuple[Metric, ...]) -> list[str]:
    """As Keras, metrics judge what the model gives: logits, if the loss takes those."""
    if not isinstance(loss, Crossentropy) or not loss.from_logits:
        return []
    return [f"metric {metric.log_name!r} of output {output!r} takes probabilities, but the loss has from_logits true"
            for metric in metrics if metric.of_probabilities and not getattr(metric, "from_logits", False)]


def _last_function(model: Model, output: str) -> str | None:
    """The activation at the output's end; None where another kind of layer ends it."""
    layer = next((node.layer for node in model.layers if node.name == model.outputs[output]), None)
    if isinstance(layer, Softmax):
        return "softmax"
    if isinstance(layer, (Activation, Weighted)):
        return "linear" if layer.activation is None else str(layer.activation.type_name)  # type: ignore[attr-defined]
    return None


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['batch', *map(str, shape)])})"
