"""Operations of `keras.ops` in functional models: `x + 3.0`, `x * y`, `keras.ops.mean(x, axis=1)`.

Each is called as Keras's operation is, with `ops.` before it: some of Keras's layers have the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.layers.rescaling import array
from engine.ops.base import ShapeMismatch
from engine.options import (
    MAXIMUM_INTEGER,
    Mismatch,
    Reader,
    boolean,
    either,
    integer,
    number,
    only,
    option,
    optional,
    sequence,
)
from engine.registry import register

PREFIX = "ops."
NUMPY = "keras.src.ops.numpy"
LARGEST_POWER = 16


def declare(name: str, base: type[Layer], text: str, **attributes: Any) -> None:
    """Register a layer that differs from `base` in class attributes alone."""
    cls = type(name, (base,), {"__doc__": text, "__module__": __name__, **attributes})
    register("layer", PREFIX + name)(dataclass(frozen=True, kw_only=True)(cls))


@dataclass(frozen=True, kw_only=True)
class Binary(Layer):
    """An operation of two operands, of which one may be a number or an array: `x1` or `x2`."""

    arity = (1, 2)
    positions = ("x1", "x2")
    constants = ("x1", "x2")
    keras_module = NUMPY

    x1: Any = option(optional(array), default=None, doc="a constant in the place of the first operand")
    x2: Any = option(optional(array), default=None, doc="a constant in the place of the second operand")

    function: ClassVar[str]
    samples: ClassVar[tuple[LayerSample, ...]] = (
        LayerSample({}, ((3, 4), (3, 4)), (3, 4)), LayerSample({}, ((3, 4, 2), (1, 1, 2)), (3, 4, 2)),
        LayerSample({"x2": 1.5}, ((3, 4),), (3, 4)), LayerSample({"x1": [1, 2, 3, 4]}, ((3, 4),), (3, 4)),
        LayerSample({"x2": [[1, 2], [3, 4], [5, 6]]}, ((3, 1),), (3, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        found, left = [], list(inputs)
        for name in self.constants:
            given = getattr(self, name)
            if given is not None:
                found.append(net.b.constant(given))
            elif left:
                found.append(left.pop(0))
        if left or len(found) != 2:
            raise ShapeMismatch("two operands, values or constants", f"{len(inputs)} and the constants that are given")
        return self.combine(net.b, *found)

    def combine(self, b: GraphBuilder, x1: Value, x2: Value) -> Value:
        """The operation itself."""
        y = b.op(self.function, x1, x2)
        if not y.shape or not any(y.shape[:1] == x.shape[:1] for x in (x1, x2) if x.role != "constant"):
            raise ShapeMismatch("operands that broadcast behind the batch", f"{text(x1.shape)} and {text(x2.shape)}")
        return y


for _name, _function, _says in (
        ("Add", "add", "x1 + x2"), ("Subtract", "subtract", "x1 - x2"), ("Multiply", "multiply", "x1 * x2"),
        ("Divide", "divide", "x1 / x2"), ("TrueDivide", "divide", "x1 / x2"),
        ("Maximum", "maximum", "The larger of x1 and x2"), ("Minimum", "minimum", "The smaller of x1 and x2")):
    declare(_name, Binary, f"{_says}, broadcast as numpy does.\n\n    Input shapes: (batch, …) once or twice.\n"
            "    Output shape: the common one.\n    ", function=_function,
            **({"samples": (LayerSample({"x2": 4}, ((3, 4),), (3, 4)), LayerSample({"x2": [1, 2]}, ((3, 2),), (3, 2)))}
               if _function == "divide" else {}))


@register("layer", f"{PREFIX}Power")
@dataclass(frozen=True, kw_only=True)
class Power(Binary):
    """x1 to the power of the number x2.

    Input shape: (batch, …). Output shape: the input's.
    """

    arity = (1, 1)

    x1: Any = option(optional(array), default=None, doc="not supported")
    x2: Any = option(number())

    samples = (LayerSample({"x2": 2}, ((3, 4),), (3, 4)), LayerSample({"x2": 5}, ((3,),), (3,)),
               LayerSample({"x2": -1}, ((3,),), (3,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        b, exponent = net.b, abs(self.x2)
        if self.x1 is not None:
            raise OptionMismatch("x1", "a value in the place of x1 (powers of constants are not supported)", self.x1)
        if exponent != int(exponent):
            return b.op("power", x, exponent=self.x2)  # of what is below 0, NaN, as numpy's
        if not 1 <= exponent <= LARGEST_POWER:
            raise OptionMismatch("x2", f"an exponent of 1 to {LARGEST_POWER} where it is a whole number", self.x2)
        y = x
        for _ in range(int(exponent) - 1):
            y = b.op("multiply", y, x)
        return b.op("divide", b.constant(1.0), y) if self.x2 < 0 else y


@dataclass(frozen=True, kw_only=True)
class Unary(Layer):
    """An operation on each element."""

    positions = ("x",)
    keras_module = NUMPY
    compute: ClassVar[Callable[[GraphBuilder, Value], Value]]
    samples: ClassVar[tuple[LayerSample, ...]] = (LayerSample({}, ((3, 4),), (3, 4)),)

    def build(self, net: Net, *inputs: Value) -> Value:
        return type(self).compute(net.b, inputs[0])


_UNARY: Mapping[str, tuple[str, Callable[[GraphBuilder, Value], Value]]] = {
    "Negative": ("-x", lambda b, x: b.op("negative", x)),
    "Absolute": ("|x|", lambda b, x: b.op("abs", x)),
    "Square": ("x * x", lambda b, x: b.op("square", x)),
    "Sign": ("-1, 0 or 1", lambda b, x: b.op("sign", x)),
    "Exp": ("e to the power of x", lambda b, x: b.op("exp", x)),
    "Sin": ("The sine of x", lambda b, x: b.op("sin", x)),
    "Cos": ("The cosine of x", lambda b, x: b.op("cos", x)),
    "Reciprocal": ("1 / x", lambda b, x: b.op("divide", b.constant(1.0), x)),
    "Sqrt": ("The square root of x", lambda b, x: b.op("sqrt", x)),
}
for _name, (_says, _compute) in _UNARY.items():
    declare(_name, Unary, f"{_says}, element by element.\n\n    Input shape: any. Output shape: the input's.\n    ",
            compute=staticmethod(_compute),
            **({"samples": (LayerSample({}, ((3, 4),), (3, 4), integers=5),)} if _name == "Sqrt" else {}))


@register("layer", f"{PREFIX}Clip")
@dataclass(frozen=True, kw_only=True)
class Clip(Layer):
    """What lies outside of x_min and x_max is moved to them.

    Input shape: any. Output shape: the input's.
    """

    positions = ("x",)
    keras_module = NUMPY

    x_min: float = option(number())
    x_max: float = option(number())

    samples = (LayerSample({"x_min": -0.5, "x_max": 1}, ((3, 4),), (3, 4)),)

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.b.op("clip", inputs[0], low=self.x_min, high=self.x_max)


@register("layer", f"{PREFIX}Matmul")
@dataclass(frozen=True, kw_only=True)
class Matmul(Layer):
    """The matrix products of the examples.

    Input shapes: (batch, …, m, k) and (batch, …, k, n). Output shape: (batch, …, m, n).
    """

    arity = (2, 2)
    positions = ("x1", "x2")
    keras_module = NUMPY

    samples = (LayerSample({}, ((3, 4), (4, 2)), (3, 2)), LayerSample({}, ((2, 3, 4), (2, 4, 1)), (2, 3, 1)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return net.b.op("batch_matmul", *inputs)


_dimension = integer(minimum=-8, maximum=7)


def _axes(x: Value, axis: Any) -> tuple[int, ...]:
    """Dimensions of x other than the batch, counted from 0. Raises OptionMismatch."""
    rank, given = x.type.rank, (axis,) if isinstance(axis, int) else axis or (0,)
    found = tuple(one % rank if -rank <= one < rank else 0 for one in given)
    if 0 in found or len(set(found)) < len(found):
        raise OptionMismatch("axis", f"dimensions of {text(x.shape)} other than the batch", axis)
    return found


@dataclass(frozen=True, kw_only=True)
class Reduced(Layer):
    """One number of the values along the dimensions `axis`, which are left out, or kept as 1."""

    positions = ("x",)
    keras_module = NUMPY

    axis: Any = option(either(sequence(_dimension, 1, 7), _dimension))
    keepdims: bool = option(boolean, default=False)

    function: ClassVar[str]
    sign: ClassVar[float] = 1.0
    samples: ClassVar[tuple[LayerSample, ...]] = (
        LayerSample({"axis": 1}, ((3, 4),), (4,)),
        LayerSample({"axis": [1, 2], "keepdims": True}, ((3, 4, 2),), (1, 1, 2)),
        LayerSample({"axis": [-1, 1]}, ((3, 4, 2),), (4,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        b, axes = net.b, tuple(sorted(_axes(x, self.axis)))
        if self.sign < 0:
            return b.op("negative", self._kept(b, b.op(self.function, b.op("negative", x), axes=axes), x, axes))
        return self._kept(b, b.op(self.function, x, axes=axes), x, axes)

    def _kept(self, b: GraphBuilder, y: Value, x: Value, axes: tuple[int, ...]) -> Value:
        if not self.keepdims:
            return y
        return b.op("reshape", y, shape=tuple(1 if axis in axes else dim for axis, dim in enumerate(x.shape)))


@dataclass(frozen=True, kw_only=True)
class Extreme(Reduced):
    """The largest or the smallest."""

    initial: Any = option(only(None, "a value to begin with is not supported"), default=None)

    function = "reduce_max"


for _name, _base, _says, _more in (("Mean", Reduced, "mean", {"function": "reduce_mean"}),
                                   ("Sum", Reduced, "sum", {"function": "reduce_sum"}),
                                   ("Max", Extreme, "largest", {}), ("Min", Extreme, "smallest", {"sign": -1.0})):
    declare(_name, _base, f"The {_says} of the values along the dimensions `axis`.\n\n    Input shape: (batch, …).\n"
            "    Output shape: the input's without `axis`, or with 1 there.\n    ", **_more)


@register("layer", f"{PREFIX}ExpandDims")
@dataclass(frozen=True, kw_only=True)
class ExpandDims(Layer):
    """A dimension of 1 at the place `axis` of the output.

    Input shape: (batch, …). Output shape: the input's with a 1 more.
    """

    positions = ("x",)
    keras_module = NUMPY

    axis: Any = option(either(sequence(_dimension, 1, 7), _dimension))

    samples = (LayerSample({"axis": 1}, ((3, 4),), (1, 3, 4)), LayerSample({"axis": -1}, ((3,),), (3, 1)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        given = (self.axis,) if isinstance(self.axis, int) else self.axis
        rank = x.type.rank + len(given)
        found = {axis % rank if -rank <= axis < rank else 0 for axis in given}
        if 0 in found or len(found) < len(given):
            raise OptionMismatch("axis", f"places behind the batch in {rank} dimensions", self.axis)
        left = iter(x.shape)
        return net.b.op("reshape", x, shape=tuple(1 if axis in found else next(left) for axis in range(rank)))


def _key(value: Any, pointer: str) -> tuple[Any, ...]:
    """Whole numbers and slices: [start, stop] of numbers or null, or as Keras writes them."""
    found: list[Any] = []
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else [value]):
        at = f"{pointer}/{index}"
        if isinstance(item, Mapping) and item.get("class_name") == "__slice__":
            config = item.get("config") or {}
            if config.get("step") not in (None, 1):
                raise Mismatch(at, "a slice without a step", config["step"])
            item = [config.get("start"), config.get("stop")]
        found.append(_slice(item, at) if isinstance(item, (list, tuple)) else _place(item, at))
    return tuple(found)


_place = integer(minimum=-MAXIMUM_INTEGER)
_slice = sequence(optional(_place), 2, 2)


@register("layer", f"{PREFIX}GetItem")
@dataclass(frozen=True, kw_only=True)
class GetItem(Layer):
    """x[key]: for each dimension, the batch first, a place or a slice; the batch is taken whole.

    Input shape: (batch, …). Output shape: sizes of the slices, then the dimensions that the key does not reach.
    """

    positions = ("x",)
    constants = ("", "key")
    keras_module = NUMPY

    key: tuple[Any, ...] = option(Reader(_key, {"type": "array", "items": {"anyOf": [_place.schema, _slice.schema]}}),
                                  doc="places and slices [start, stop]")

    samples = (LayerSample({"key": [[None, None], 0]}, ((3, 4),), (4,)),
               LayerSample({"key": [[None, None], [1, -1], -2]}, ((4, 3, 2),), (2, 2)))

    def keras_options(self) -> dict[str, Any]:
        return {"key": [item if isinstance(item, int) else {
            "class_name": "__slice__", "config": {"start": item[0], "stop": item[1], "step": None}}
            for item in self.key]}

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if not self.key or self.key[0] != (None, None) or len(self.key) > x.type.rank:
            raise OptionMismatch("key", f"the whole batch and then at most {x.type.rank - 1} places and slices",
                                 list(self.key))
        y, shape = x, [x.shape[0]]
        for axis, item in enumerate(self.key[1:], 1):
            dim = x.shape[axis]
            if isinstance(item, int) and not -dim <= item < dim:
                raise OptionMismatch("key", f"a place of {dim} in dimension {axis}", item)
            start, stop, _ = slice(*item).indices(dim) if isinstance(item, tuple) else (item % dim, item % dim + 1, 1)
            if stop <= start:
                raise OptionMismatch("key", f"a slice that holds something of {dim} in dimension {axis}", list(item))
            y = y if stop - start == dim else net.b.op("slice", y, axis=axis, start=start, stop=stop)
            shape += [stop - start] if isinstance(item, tuple) else []
        return net.b.op("reshape", y, shape=(*shape, *x.shape[len(self.key):]))


@register("layer", f"{PREFIX}Squeeze")
@dataclass(frozen=True, kw_only=True)
class Squeeze(Layer):
    """The dimensions `axis`, each of size 1, are left out.

    Input shape: (batch, …). Output shape: the input's without them.
    """

    positions = ("x",)
    keras_module = NUMPY

    axis: Any = option(either(sequence(_dimension, 1, 7), _dimension))

    samples = (LayerSample({"axis": 1}, ((1, 4),), (4,)), LayerSample({"axis": [1, -1]}, ((1, 3, 1),), (3,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        axes = _axes(x, self.axis)
        if any(x.shape[axis] != 1 for axis in axes):
            raise OptionMismatch("axis", f"dimensions of size 1 of {text(x.shape)}", self.axis)
        return net.b.op("reshape", x, shape=tuple(dim for axis, dim in enumerate(x.shape) if axis not in axes))
