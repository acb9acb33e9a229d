"""A kernel contracted with its input by an einsum equation."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from engine.activations.base import Activation
from engine.constraints.base import Constraint
from engine.graph.ir import GraphBuilder, Value
from engine.initializers.base import Initializer
from engine.initializers.constant import Zeros
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.layers.weighted import constraint, initializer, regularizer
from engine.options import Mismatch, Reader, either, entry, integer, only, option, optional, sequence
from engine.options import text as string
from engine.registry import register
from engine.regularizers.base import Regularizer
from engine.types import times

_FORM = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")
_sizes = sequence(optional(integer(minimum=1)), 1, 7)
_string = string()


def _equation(value: Any, pointer: str) -> str:
    written = str(_string(value, pointer)).replace(" ", "")
    match = _FORM.fullmatch(written)
    if match is None or (match[1], match[3]) != (match[5], match[7]) or (match[1] and match[3]):
        raise Mismatch(pointer, "an equation like ab,bc->ac or ...x,xy->...y", value)
    for part in (match[2], match[4], match[6]):
        if len(set(part)) < len(part):
            raise Mismatch(pointer, "letters that stand once on each side", value)
    lost = set(match[6]) - set(match[2]) - set(match[4]) or set(match[4]) - set(match[2]) - set(match[6])
    if lost:
        raise Mismatch(pointer, f"letter {min(lost)} on another side as well", value)
    return written


@dataclass(frozen=True)
class Letters:
    """An equation for an input of known rank. Dimensions under the dots have digits."""

    x: str
    kernel: str
    y: str
    ahead: int
    """How many dimensions stand for dots at the left."""


def letters(equation: str, rank: int) -> Letters | None:
    """The letters of every dimension; None if the equation has more than `rank`, or dots have no place."""
    match = _FORM.fullmatch(equation)
    assert match is not None
    missing = rank - len(match[2])
    if missing < 0 or (missing and not (match[1] or match[3])):
        return None
    dots = "0123456789"[:missing]
    if match[1]:
        return Letters(dots + match[2], match[4], dots + match[6], missing)
    return Letters(match[2] + dots, match[4], match[6] + dots, 0)


def contract(b: GraphBuilder, x: Value, kernel: Value, names: Letters) -> Value:
    """The einsum of x and kernel, as one matrix product; letters of x, kernel and y together are groups of it."""
    only_x = [axis for axis, name in enumerate(names.x) if name not in names.kernel + names.y]
    if only_x:
        x = b.op("reduce_sum", x, axes=tuple(only_x))
    given = "".join(name for name in names.x if name in names.kernel + names.y)
    summed = [name for name in names.kernel if name in given and name not in names.y]
    groups = [name for name in names.kernel if name in given and name in names.y]
    rows = [name for name in names.y if name in given and name not in names.kernel]
    columns = [name for name in names.y if name not in given]
    sizes = {**dict(zip(given, x.shape, strict=True)), **dict(zip(names.kernel, kernel.shape, strict=True))}
    left = ordered(b, x, given, [*rows, *groups, *summed])
    right = ordered(b, kernel, names.kernel, [*summed, *groups, *columns])
    count, terms, width = (math.prod(sizes[name] for name in part) for part in (groups, summed, columns))
    batch: Any = sizes[rows[0]]
    for name in rows[1:]:
        batch = times(batch, sizes[name])
    if groups:
        left = b.op("reshape", left, shape=(batch, 1, 1, count * terms))
        right = b.op("reshape", right, shape=(1, 1, terms, count * width))
        y = b.op("conv2d", left, right, groups=count)
    else:
        y = b.op("matmul", b.op("reshape", left, shape=(batch, terms)), b.op("reshape", right, shape=(terms, width)))
    made = [*rows, *groups, *columns]
    return ordered(b, b.op("reshape", y, shape=tuple(sizes[name] for name in made)), "".join(made), list(names.y))


def ordered(b: GraphBuilder, x: Value, names: str, wanted: list[str]) -> Value:
    """x with its named dimensions in another order."""
    permutation = tuple(names.index(name) for name in wanted)
    return x if permutation == tuple(range(len(names))) else b.op("transpose", x, permutation=permutation)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias); `bias_axes` names the letters along which the bias varies.

    Input shape: (batch, …), as the equation's first part. Output shape: (batch, *output_shape), with the dimensions
    under dots; null in `output_shape` stands for the input's size.
    """

    equation: str = option(Reader(_equation, {**_string.schema, "examples": ["ab,bc->ac", "...x,xy->...y"]}))
    output_shape: Any = option(either(_sizes, integer(minimum=1)))
    activation: Activation | None = option(optional(entry("activation")), default=None)
    bias_axes: str | None = option(optional(_string), default=None)
    kernel_initializer: Initializer = option(initializer, default=GlorotUniform())
    bias_initializer: Initializer = option(initializer, default=Zeros())
    kernel_regularizer: Regularizer | None = option(regularizer, default=None)
    bias_regularizer: Regularizer | None = option(regularizer, default=None)
    activity_regularizer: Regularizer | None = option(regularizer, default=None)
    kernel_constraint: Constraint | None = option(constraint, default=None)
    bias_constraint: Constraint | None = option(constraint, default=None)
    quantization_config: Any = option(only(None, "quantization is not supported"), default=None)

    size_option = "output_shape"
    samples = (
        LayerSample({"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "c"}, ((3,),), (4,), 16),
        LayerSample({"equation": "...x,xy->...y", "output_shape": 4, "activation": "relu"}, ((2, 3, 5),), (2, 3, 4),
                    20),
        LayerSample({"equation": "abc,cde->abde", "output_shape": [None, 2, 3], "bias_axes": "de"}, ((4, 5),),
                    (4, 2, 3), 36),
        LayerSample({"equation": "abc,bcd->abd", "output_shape": [3, 4], "bias_axes": "bd"}, ((3, 2),), (3, 4), 36),
        LayerSample({"equation": "ab...,bc->ac...", "output_shape": 5, "bias_axes": "c"}, ((3, 2, 4),), (5, 2, 4), 20),
        LayerSample({"equation": "abc,cd->ad", "output_shape": 3}, ((4, 2),), (3,), 6),
    )

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        names = letters(self.equation, x.type.rank)
        if names is None:
            raise OptionMismatch("equation", f"a letter for each dimension of {text(x.shape)}", self.equation)
        if names.x[0] in names.kernel or not names.y.startswith(names.x[0]):
            raise OptionMismatch("equation", "the batch first in the input and in the output", self.equation)
        sizes = self._sizes(x, names)
        kernel = net.weight("kernel", tuple(sizes[name] for name in names.kernel), self.kernel_initializer,
                            regularizer=self.kernel_regularizer)
        y = contract(net.b, x, kernel, names)
        if self.bias_axes is not None:
            bias = net.weight("bias", self._bias(names, sizes), self.bias_initializer,
                              regularizer=self.bias_regularizer)
            y = net.b.op("add", y, bias)
        return net.activate(y, self.activation)

    def _sizes(self, x: Value, names: Letters) -> dict[str, Any]:
        """The size of every letter. Raises OptionMismatch where `output_shape` does not fit."""
        sizes: dict[str, Any] = dict(zip(names.x, x.shape, strict=True))
        written = (self.output_shape,) if isinstance(self.output_shape, int) else self.output_shape
        shown = [name for name in names.y if not name.isdigit()]
        shown = shown if names.ahead else shown[1:]
        if len(shown) != len(written):
            raise OptionMismatch("output_shape", f"{len(shown)} sizes", list(written))
        for name, size in zip(shown, written, strict=True):
            if size is None and name not in sizes:
                raise OptionMismatch("output_shape", f"a size for letter {name}", None)
            if size is not None and sizes.setdefault(name, size) != size:
                raise OptionMismatch("output_shape", f"{sizes[name]} for letter {name}, as the input has", size)
        return sizes

    def _bias(self, names: Letters, sizes: dict[str, Any]) -> tuple[int, ...]:
        axes = self.bias_axes or ""
        if any(name not in names.y[max(1, names.ahead):] or name.isdigit() for name in axes):
            raise OptionMismatch("bias_axes", f"letters of the output other than the batch, {names.y}", axes)
        first = min(names.y.index(name) for name in axes)
        return tuple(sizes[name] if name in axes else 1 for name in names.y[first:])
