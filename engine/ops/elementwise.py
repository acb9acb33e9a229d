"""Elementwise ops: one scalar expression each, from which follow the reference, the compute kernel and every fusion.

An expression is a function `(m, *values, **attrs)`: `m` offers the functions (`m.exp`, `m.where`, …), values have the
operators. `engine.ops.numpy_math` evaluates it on arrays, `engine.codegen.scalar` makes vector code of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from engine.expressions import EXPRESSIONS, evaluate
from engine.graph.ir import GraphBuilder, Node, Value
from engine.lowering.request import KernelRequest
from engine.ops import numpy_math
from engine.ops.base import Gradients, Op, Sample, broadcast_shapes, expect_dtype
from engine.ops.base import op as declare
from engine.types import Shape, Type, size


def op(name: str) -> Any:
    """Register an elementwise op together with its expression."""

    def decorate(cls: type[Elementwise]) -> type[Elementwise]:
        EXPRESSIONS[name] = cls.expression
        registered: type[Elementwise] = declare(name)(cls)
        return registered

    return decorate


FLOATS = ("float32", "float64")
PAIR = (Sample(((3, 5), (3, 5))), Sample(((2, 3, 4), (4,))), Sample(((3, 1), (3, 7))), Sample(((2, 17), ())))
ONE = (Sample(((3, 17),)), Sample(((2, 3, 2, 5),)))


class Elementwise(Op):
    """`expression` is applied to every element after broadcasting. Inputs are floats unless `converts`."""

    dtype: ClassVar[str | None] = None
    """Element type of the output; None: that of the first input."""
    converts: ClassVar[bool] = False
    overwrites: ClassVar[Mapping[int, int]] = {0: 0}
    cost: ClassVar[int] = 1
    """Operations counted for each element."""

    @staticmethod
    def expression(m: Any, *values: Any, **attrs: Any) -> Any:
        """The scalar expression."""
        raise NotImplementedError

    def infer(self, *types: Type, **attrs: Any) -> tuple[Type, ...]:
        if not self.converts:
            for type in types:
                expect_dtype(type, *FLOATS)
        return (Type(broadcast_shapes(*(type.shape for type in types)), self.dtype or types[0].dtype),)

    def reference(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        with np.errstate(all="ignore"):
            result = type(self).expression(numpy_math, *arrays, **attrs)
        dtype = self.dtype or arrays[0].dtype
        return (
            np.broadcast_to(np.asarray(result), np.broadcast_shapes(*(array.shape for array in arrays))).astype(
                dtype
            ),
        )

    def lower(self, node: Node) -> list[KernelRequest]:
        body = ((self.name, tuple(range(len(node.inputs))), tuple(sorted(node.attrs.items()))),)
        return [KernelRequest("elementwise", "chain", node.inputs, node.outputs, {"body": body})]

    def flops(self, node: Node) -> int:
        return self.cost * size(node.outputs[0].shape, 1)


def unbroadcast(b: GraphBuilder, grad: Value, shape: Shape) -> Value:
    """Sum a gradient over the dimensions along which its value was broadcast."""
    if grad.shape == shape:
        return grad
    lead = len(grad.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + index for index, dim in enumerate(shape) if dim == 1 and grad.shape[lead + index] != 1
    )
    summed = b.op("reduce_sum", grad, axes=axes) if axes else grad
    return summed if summed.shape == shape else b.op("reshape", summed, shape=shape)


def _binary(name: str, expression: Callable[..., Any],
            vjp: Callable[[GraphBuilder, Value, Value, Value, Value], tuple[Value, Value]] | None,
            samples: tuple[Sample, ...] = PAIR, dtype_: str | None = None) -> None:
    """Declare an op of two values."""

    class Binary(Elementwise):
        dtype = dtype_

        def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
            if vjp is None:
                return (None, None)
            x, y = node.inputs
            (g,) = grads
            assert g is not None
            dx, dy = vjp(b, x, y, node.outputs[0], g)
            return unbroadcast(b, dx, x.shape), unbroadcast(b, dy, y.shape)

    Binary.samples = samples
    Binary.expression = staticmethod(expression)  # type: ignore[method-assign]
    Binary.__name__ = Binary.__qualname__ = name
    op(name)(Binary)


def _unary(name: str, expression: Callable[..., Any], vjp: Callable[[GraphBuilder, Value, Value, Value], Value] | None,
           samples: tuple[Sample, ...] = ONE, cost_: int = 1) -> None:
    """Declare an op of one value; `vjp(b, x, y, g)`."""

    class Unary(Elementwise):
        cost = cost_

        def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
            (g,) = grads
            assert g is not None
            return (vjp(b, node.inputs[0], node.outputs[0], g) if vjp else None,)

    Unary.samples = samples
    Unary.expression = staticmethod(expression)  # type: ignore[method-assign]
    Unary.__name__ = Unary.__qualname__ = name
    op(name)(Unary)


def _chosen(b: GraphBuilder, g: Value, first: Value) -> tuple[Value, Value]:
    """The gradient for the value that was taken: the first among equals."""
    return b.op("multiply", g, first), b.op("multiply", g, b.op("scale", first, factor=-1.0, offset=1.0))


POSITIVE = (Sample(((3, 17),), positive=(0,)),)

_binary("add", lambda m, x, y: x + y, lambda b, x, y, z, g: (g, g))
_binary("subtract", lambda m, x, y: x - y, lambda b, x, y, z, g: (g, b.op("negative", g)))
_binary("multiply", lambda m, x, y: x * y, lambda b, x, y, z, g: (b.op("multiply", g, y), b.op("multiply", g, x)))
_binary("divide", lambda m, x, y: x / y,
        lambda b, x, y, z, g: (b.op("divide", g, y), b.op("negative", b.op("divide", b.op("multiply", g, z), y))),
        (Sample(((3, 5), (3, 5)), positive=(1,)), Sample(((4, 3), (4, 1)), positive=(1,))))
_binary("maximum", lambda m, x, y: m.maximum(x, y), lambda b, x, y, z, g: _chosen(b, g, b.op("greater_equal", x, y)))
_binary("minimum", lambda m, x, y: m.minimum(x, y), lambda b, x, y, z, g: _chosen(b, g, b.op("greater_equal", y, x)))
_binary("greater_equal", lambda m, x, y: m.where(x >= y, 1.0, 0.0), None)
_binary("greater", lambda m, x, y: m.where(x > y, 1.0, 0.0), None)
_binary("equal", lambda m, x, y: m.where(x == y, 1.0, 0.0), None)

_unary("negative", lambda m, x: -x, lambda b, x, y, g: b.op("negative", g))
_unary("square", lambda m, x: x * x, lambda b, x, y, g: b.op("multiply", g, b.op("scale", x, factor=2.0)))
_unary("sqrt", lambda m, x: m.sqrt(x), lambda b, x, y, g: b.op("divide", g, b.op("scale", y, factor=2.0)), POSITIVE)
_unary("exp", lambda m, x: m.exp(x), lambda b, x, y, g: b.op("multiply", g, y), cost_=10)
_unary("log", lambda m, x: m.log(x), lambda b, x, y, g: b.op("divide", g, x), POSITIVE, cost_=10)
_unary("sin", lambda m, x: m.sin(x), lambda b, x, y, g: b.op("multiply", g, b.op("cos", x)), cost_=20)
_unary("cos", lambda m, x: m.cos(x), lambda b, x, y, g: b.op("negative", b.op("multiply", g, b.op("sin", x))), cost_=20)
_unary("abs", lambda m, x: m.abs(x), lambda b, x, y, g: b.op("multiply", g, b.op("sign", x)))
_unary("floor", lambda m, x: m.floor(x), None)
_unary("sign", lambda m, x: m.where(x > 0.0, 1.0, m.where(x < 0.0, -1.0, x)), None)
_unary("stop_gradient", lambda m, x: x + 0.0, None, tuple(Sample(sample.shapes, differentiable=()) for sample in ONE))


@op("scale")
class Scale(Elementwise):
    """x * factor + offset with numbers known at compile time; also from uint8 and integers to float32."""

    converts = True
    samples = (Sample(((3, 5),), {"factor": 2.0}), Sample(((3, 5),), {"factor": -0.5, "offset": 1.25}),
               Sample(((3, 5),), {"offset": 0.5}),
               Sample(((4, 19),), {"factor": 1 / 255}, dtypes=("uint8",), integers={0: 256}, differentiable=()))

    @staticmethod
    def expression(m: Any, x: Any, *, factor: float = 1.0, offset: float = 0.0) -> Any:
        return x * factor + offset if offset else x * factor

    def infer(self, *types: Type, **attrs: Any) -> tuple[Type, ...]:
        (type,) = types
        return (Type(type.shape, type.dtype if type.dtype in FLOATS else "float32"),)

    def reference(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        (array,) = arrays
        return super().reference(array if array.dtype in FLOATS else array.astype("float32"), **attrs)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return (b.op("scale", g, factor=node.attrs.get("factor", 1.0)) if node.inputs[0].dtype in FLOATS else None,)


@op("clip")
class Clip(Elementwise):
    """min(max(x, low), high); the gradient passes where the value lies within, bounds included, as TensorFlow's."""

    samples = (Sample(((3, 17),), {"low": -0.5, "high": 0.5}),)

    @staticmethod
    def expression(m: Any, x: Any, *, low: float, high: float) -> Any:
        return m.minimum(m.maximum(x, low), high)

    def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
        (g,) = grads
        assert g is not None
        return (b.op("clip_grad", node.inputs[0], g, **node.attrs),)


@op("clip_grad")
class ClipGrad(Elementwise):
    """The derivative of `clip`: g where low <= x <= high, else 0."""

    samples = (Sample(((3, 17), (3, 17)), {"low": -0.5, "high": 0.5}, differentiable=()),)

    @staticmethod
    def expression(m: Any, x: Any, g: Any, *, low: float, high: float) -> Any:
        return m.where(x >= low, m.where(x <= high, g, 0.0), 0.0)


@op("fused")
class Fused(Elementwise):
    """A chain of elementwise ops in one pass over memory; made by the fuse pass.

    `body` is a tuple of (op, arguments, attributes): arguments number the inputs first, then the results so far. The
    last result is the output, in `dtype`.
    """

    converts = True
    samples = (Sample(((3, 17), (17,)), {"body": (("add", (0, 1), ()), ("square", (2,), ()), ("multiply", (3, 0), ()))},
                      differentiable=()),)

    def infer(self, *types: Type, **attrs: Any) -> tuple[Type, ...]:
        return (Type(broadcast_shapes(*(type.shape for type in types)), attrs.get("dtype", "float32")),)

    def reference(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        values = [array if array.dtype in FLOATS else array.astype("float32") for array in arrays]
        with np.errstate(all="ignore"):
            result = evaluate(numpy_math, attrs["body"], values)
        return (
            np.broadcast_to(result, np.broadcast_shapes(*(array.shape for array in arrays))).astype(values[0].dtype),
        )

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("elementwise", "chain", node.inputs, node.outputs, {"body": node.attrs["body"]})]

    def flops(self, node: Node) -> int:
        return len(node.attrs["body"]) * size(node.outputs[0].shape, 1)

