"""Activations, and arithmetic between values or with constants."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from engine.onnx.taken.flow import Array, Constant, Flow, straight
from engine.onnx.taken.node import Node, Taken, takes

ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign",
               "Exp": "exponential", "Mish": "mish", "HardSwish": "hard_silu"}
"""Operators without options."""
NONNEGATIVE = {"Relu", "Sigmoid", "Softplus", "Exp", "HardSigmoid"}
_ROOT = 1 / math.sqrt(2)


@takes(*ACTIVATIONS)
def _activation(node: Node) -> Flow:
    x = node.flow()
    if node.operator == "Relu":
        return replace(node.sketch.keep("ReLU", x), nonnegative=True)
    made = node.sketch.keep("Activation", x, activation=ACTIVATIONS[node.operator])
    return replace(made, nonnegative=node.operator in NONNEGATIVE,
                   note=("sigmoid", x) if node.operator == "Sigmoid" else None)


@takes("Sin", "Cos")
def _wave(node: Node) -> Flow:
    return node.sketch.keep(f"ops.{node.operator}", node.flow())


@takes("LeakyRelu")
def _leaky(node: Node) -> Flow:
    return node.sketch.keep("LeakyReLU", node.flow(), negative_slope=node.number("alpha", 0.01))


@takes("Elu")
def _elu(node: Node) -> Flow:
    return node.sketch.keep("ELU", node.flow(), alpha=node.number("alpha", 1.0))


@takes("Selu")
def _selu(node: Node) -> Flow:
    alpha, gamma = node.number("alpha", 1.67326319), node.number("gamma", 1.05070102)
    if abs(alpha - 1.6732632) > 1e-4 or abs(gamma - 1.050701) > 1e-4:
        raise node.refuse("the usual alpha and gamma", f"{alpha} and {gamma}")
    return node.sketch.keep("Activation", node.flow(), activation="selu")


@takes("HardSigmoid")
def _hard_sigmoid(node: Node) -> Flow:
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    if abs(alpha - 1 / 6) > 1e-6 or beta != 0.5:
        raise node.refuse("alpha 1/6 and beta 0.5", f"{alpha} and {beta}")
    return replace(node.sketch.keep("Activation", node.flow(), activation="hard_sigmoid"), nonnegative=True)


@takes("Gelu")
def _gelu(node: Node) -> Flow:
    return gelu(node, node.flow(), approximate=node.attributes.get("approximate", "none") == "tanh")


def gelu(node: Node, x: Flow, *, approximate: bool) -> Flow:
    """The activation of a value."""
    return node.sketch.keep("Activation", x, activation={"type": "gelu", "approximate": approximate})


@takes("Clip")
def _clip(node: Node) -> Flow:
    x = node.flow()
    limits: list[float | None] = []
    for name, place, none in (("min", 1, -3.0e38), ("max", 2, 3.0e38)):
        given = node.optional(place)
        value = node.attributes.get(name) if given is None else given.array.reshape(-1)[0]
        limits.append(None if value is None or abs(float(value)) >= abs(none) else float(value))
    low, high = limits
    if low == -1 and high == 1:
        return node.sketch.keep("Activation", x, activation="hard_tanh")
    if low != 0:
        raise node.refuse("limits from 0, or of -1 and 1", f"{low} and {high}")
    return replace(node.sketch.keep("ReLU", x, **({} if high is None else {"max_value": high})), nonnegative=True)


@takes("PRelu")
def _prelu(node: Node) -> Flow:
    x, slope = node.flow(), node.constant(1)
    x = node.sketch.images(x) if x.rank > 1 else node.sketch.unfolded(x)
    if slope.array.size not in (1, x.shape[0]):
        raise node.refuse("a slope for each channel", f"shape {slope.array.shape}")
    alpha = np.broadcast_to(slope.array.reshape(-1), (x.shape[0],)).reshape(*(1,) * (x.rank - 1), -1)
    shared: dict[str, Any] = {"shared_axes": list(range(1, x.rank))} if x.rank > 1 else {}
    return node.sketch.add("PReLU", [x], x.shape, x.order, weights={"alpha": alpha}, tensors=(slope.name,), **shared)


@takes("Softmax", "LogSoftmax")
def _softmax(node: Node) -> Flow:
    x = node.sketch.unfolded(node.flow())
    axis = int(node.attributes.get("axis", 1 if node.opset < 13 else -1)) % (x.rank + 1)
    if node.opset < 13 and axis != x.rank and math.prod(x.shape[axis:]) != 1:
        raise node.refuse("the last axis in this opset", f"axis {axis}")
    if axis == 0:
        raise node.refuse("an axis other than the batch", "axis 0")
    place = x.order[axis - 1]
    if node.operator == "Softmax" and place != x.rank - 1:
        return replace(node.sketch.keep("Softmax", x, axis=place + 1), nonnegative=True)
    if place != x.rank - 1:
        x = node.sketch.natural(x) if axis == x.rank else node.sketch.images(x)
        if x.order[axis - 1] != x.rank - 1:
            raise node.refuse("the channels or the last axis", f"axis {axis}")
    name = "softmax" if node.operator == "Softmax" else "log_softmax"
    return node.sketch.keep("Activation", x, activation=name)


@takes("Neg")
def _negative(node: Node) -> Flow:
    return node.sketch.keep("Rescaling", node.flow(), scale=-1.0)


@takes("Erf")
def _erf(node: Node) -> Flow:
    x = node.flow()
    if x.note is None or x.note[0] != "scaled" or not _near(node, x, _ROOT):
        raise node.refuse("erf(x / √2) of a GELU", "another argument")
    return Flow("", x.shape, x.order, note=("erf", x.note[1]))


def _near(node: Node, x: Flow, factor: float) -> bool:
    return abs(float(node.sketch.layers[x.layer].get("scale", 0.0)) - factor) < 1e-4


MERGES = {"Add": "Add", "Sum": "Add", "Sub": "Subtract", "Mul": "Multiply", "Max": "Maximum", "Min": "Minimum",
          "Mean": "Average"}


@takes(*MERGES, "Div")
def _arithmetic(node: Node) -> Taken:
    values = [value for value in node.inputs if value is not None]
    if len(values) == 1:
        return values[0]
    if len(values) == 2 and (known := _part(node, *values)) is not None:
        return known
    if any(isinstance(value, Constant) for value in values):
        if len(values) != 2 or node.operator not in ("Add", "Sum", "Sub", "Mul", "Div"):
            raise node.refuse("computed values", "a constant")
        return _with_constant(node, *values)
    if node.operator not in MERGES:
        raise node.refuse("a constant as input 1", "a computed value")
    return _merged(node, [node.flow(place) for place in range(len(values))])


def _merged(node: Node, flows: list[Flow]) -> Flow:
    """Values of equal rank, in one order."""
    if len({flow.rank for flow in flows}) > 1:
        raise node.refuse("values of equal rank", ", ".join(str((None, *flow.shape)) for flow in flows))
    image = flows[0].image
    if any(flow.image != image for flow in flows):
        flows, image = [node.sketch.unfolded(flow) for flow in flows], None
    turned = next((flow.order for flow in flows if flow.order != straight(flow.rank) and math.prod(flow.shape) > 1),
                  flows[0].order)
    if image is None:
        flows = [node.sketch.arranged(flow, turned) for flow in flows]
    shape = tuple(int(size) for size in np.broadcast_shapes(*(flow.shape for flow in flows)))
    made = node.sketch.add(MERGES[node.operator], flows, shape, flows[0].order)
    return replace(made, image=image, nonnegative=node.operator != "Sub" and all(flow.nonnegative for flow in flows))


def _part(node: Node, a: Taken, b: Taken) -> Flow | None:
    """SiLU and GELU, which are written in several nodes: x · sigmoid(x), and x · (1 + erf(x / √2)) / 2."""
    for x, y in ((a, b), (b, a)):
        if not isinstance(x, Flow) or x.note is None:
            continue
        kind, base = x.note
        number = float(y.array.reshape(-1)[0]) if isinstance(y, Constant) and y.array.size == 1 else None
        if node.operator == "Add" and kind == "erf" and number == 1:
            return replace(x, note=("1 + erf", base))
        if node.operator != "Mul":
            continue
        if kind == "1 + erf" and number == 0.5:
            return replace(x, note=("half", base))
        if kind == "2 gelu" and number == 0.5:
            return gelu(node, base, approximate=False)
        if not isinstance(y, Flow):
            continue
        if kind == "half" and y is base:
            return gelu(node, base, approximate=False)
        if kind == "1 + erf" and y is base:
            return Flow("", base.shape, base.order, note=("2 gelu", base))
        if kind == "1 + erf" and y.note == ("scaled", base) and _near(node, y, 0.5):
            return gelu(node, base, approximate=False)
        if kind == "sigmoid" and y is base:
            return node.sketch.keep("Activation", base, activation="silu")
    return None


def _with_constant(node: Node, a: Taken, b: Taken) -> Flow:
    """A value and numbers. A Mul by a vector is trained, as is an Add that gives a layer its bias."""
    place = 0 if isinstance(a, Flow) else 1
    x, constant = node.flow(place), node.constant(1 - place)
    array = constant.array.astype(np.float32)
    if array.ndim > x.rank + 1 or (array.ndim == x.rank + 1 and array.shape[0] != 1):
        raise node.refuse("a constant that is the same for the whole batch", f"shape {array.shape}")
    if array.size == 1:
        return _scaled(node, x, float(array.reshape(-1)[0]), flipped=place == 1)
    sizes = (*(1,) * (x.rank + 1 - array.ndim), *array.shape)[1:]
    if any(size not in (1, whole) for size, whole in zip(sizes, x.shape, strict=True)):
        raise node.refuse(f"a constant that spreads to {x.shape}", f"shape {array.shape}")
    long = [dim for dim, size in enumerate(sizes) if size > 1]
    add = node.operator in ("Add", "Sum")
    if add and x.biasless and place in node.alone and len(long) == 1 and x.order[long[0]] == x.rank - 1:
        return node.sketch.add_bias(x, array.reshape(-1), constant.name)
    x = node.sketch.unfolded(x)
    if node.operator == "Mul" and len(long) == 1 and x.order[long[0]] == x.rank - 1:
        made = node.sketch.add("EinsumDense", [x], x.shape, x.order, weights={"kernel": array.reshape(-1)},
                               tensors=(constant.name,), equation=_each(x.rank), output_shape=list(x.here))
        return replace(made, biasless=made.layer)
    here: Array = array.reshape(sizes).transpose([x.order.index(axis) for axis in range(x.rank)])
    scale, offset = _affine(node, here, flipped=place == 1)
    return node.sketch.keep("Rescaling", x, scale=_plain(scale), offset=_plain(offset))


def _affine(node: Node, numbers: Any, *, flipped: bool) -> tuple[Any, Any]:
    """The scale and offset of arithmetic with a constant."""
    if node.operator in ("Add", "Sum"):
        return 1.0, numbers
    if node.operator == "Sub":
        return (-1.0, numbers) if flipped else (1.0, -numbers)
    if node.operator == "Mul":
        return numbers, 0.0
    if flipped:
        raise node.refuse("a constant as divisor", "a computed value")
    if not np.all(numbers):
        raise node.refuse("a divisor without zeros", "one with zeros")
    return 1 / numbers, 0.0


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _each(rank: int) -> str:
    letters = "abcdefgh"[:rank + 1]
    return f"{letters},{letters[-1]}->{letters}"


def _scaled(node: Node, x: Flow, number: float, *, flipped: bool) -> Flow:
    """A value and one number."""
    if not math.isfinite(number):
        raise node.refuse("a finite number", number)
    scale, offset = _affine(node, number, flipped=flipped)
    made = node.sketch.keep("Rescaling", x, scale=scale, **({"offset": offset} if offset else {}))
    return replace(made, note=("scaled", x) if not offset else None)
