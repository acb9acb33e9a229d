"""What random graphs are grown by: a function for each kind of step. Ops that none names come in by their samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from engine import registry
from engine.graph.ir import Value
from engine.ops.base import Op, Sample, find
from engine.types import Batch, Shape
from tests.engine.fuzz.case import Domain
from tests.engine.fuzz.grow import SIDES, Growth, Move, Unfit

MOVES: list[Move] = []
JUMPS = ("sign", "greater", "greater_equal", "equal", "argmax", "in_top_k", "one_hot", "histogram")
"""Ops whose result jumps: on computed values rounding would decide, so they are given inputs of their own only."""
ELSEWHERE = ("fused", "gather", "random_crop", "random_flip", "random_translation")
"""Made by a pass, or bound to a table of examples."""


def move(times: int = 1) -> Callable[[Move], Move]:
    """Register a step; it is taken so many times as often as others."""

    def decorate(function: Move) -> Move:
        MOVES.extend([function] * times)
        return function

    return decorate


def start(g: Growth) -> None:
    """One or two inputs of one kind."""
    channels = g.size()
    shape: Shape = g.one(
        (Batch(), channels), (Batch(), channels), (Batch(), g.one(*SIDES), channels),
        (Batch(), g.one(*SIDES), g.one(*SIDES), channels), (Batch(), g.one(*SIDES), g.one(*SIDES), channels))
    for _ in range(g.one(1, 2)):
        g.input(shape)


@cache
def plain() -> tuple[tuple[str, Sample], ...]:
    """Ops of one value of any shape, with the options of each of their samples."""
    return tuple((name, sample) for name in registry.entries("op") for sample in find(name).samples
                 if len(sample.shapes) == 1 and not sample.dtypes and name not in JUMPS and _anywhere(name))


def _anywhere(name: str) -> bool:
    op = find(name)
    return not op.effect and not op.stateful and name not in ELSEWHERE and type(op).vjp is not Op.vjp


@move(4)
def unary(g: Growth) -> None:
    name, sample = g.one(*plain())
    x = g.any()
    if sample.positive:
        x = g.apply("scale", g.apply("abs", x), factor=1.0, offset=0.25)
    if "shape" not in sample.attrs and "axes" not in sample.attrs:
        g.apply(name, x, **sample.attrs)


@move(3)
def binary(g: Growth) -> None:
    x = g.any()
    y = g.any(lambda value: value.shape == x.shape)
    if (name := g.one("add", "subtract", "multiply", "maximum", "minimum", "divide")) == "divide":
        y = g.apply("scale", g.apply("square", y), factor=1.0, offset=0.5)
    g.apply(name, *((y, x) if g.chance(0.5) and name != "divide" else (x, y)))


@move(2)
def broadcast_binary(g: Growth) -> None:
    """With a parameter of some of the dimensions, or with a value that was reduced."""
    x = g.any(lambda value: len(value.shape) > 1)
    name = g.one("add", "multiply", "subtract", "maximum")
    if g.chance(0.5):
        kept = x.shape[g.one(*range(1, len(x.shape))):]
        g.apply(name, x, g.parameter(*(dim if g.chance(0.8) else 1 for dim in kept)))
    else:
        axes = tuple(axis for axis in range(len(x.shape)) if g.chance(0.5)) or (len(x.shape) - 1,)
        g.apply(name, x, g.apply(g.one("reduce_mean", "reduce_sum", "reduce_max"), x, axes=axes, keepdims=True))


@move()
def number(g: Growth) -> None:
    if g.chance(0.5):
        g.apply("scale", g.any(), factor=g.one(0.0, 1.0, -1.0, 0.5, 3.0), offset=g.one(0.0, 1.0))
    else:
        g.apply(g.one("multiply", "add"), g.any(), g.constant(g.one(0.0, 0.5, 1.0, -2.0)))


@move(3)
def dense(g: Growth) -> None:
    x, units = g.rows(), g.size()
    transposed = g.chance(0.3)
    shape = (units, x.shape[1]) if transposed else (x.shape[1], units)
    y = g.apply("matmul", x, g.parameter(*shape), transpose_b=transposed)
    _finish(g, y, units)


def _finish(g: Growth, y: Value, channels: int) -> None:
    """A bias and an activation, as layers have them."""
    if g.chance(0.6):
        y = g.apply("add", y, g.parameter(channels))
    if g.chance(0.5):
        g.apply(g.one("relu", "relu", "tanh", "sigmoid", "gelu"), y)


@move()
def products_of_batches(g: Growth) -> None:
    """(features, units) summed over the examples, and what is made of it."""
    x = g.rows()
    y = g.any(lambda value: len(value.shape) == 2 and value.shape[0] == Batch())
    made = g.apply("matmul", x, y, transpose_a=True)
    if g.chance(0.5):
        g.apply("matmul", x, g.apply("scale", made, factor=0.1))


def _window(g: Growth, size: int, *, dilated: bool) -> tuple[int, int, int, tuple[int, int]]:
    """kernel, stride, dilation and padding along a dimension; the kernel fits."""
    kernel, stride = g.one(1, 2, 3, 3, 3, 5), g.one(1, 1, 1, 2, 3)
    dilation = g.one(1, 1, 2, 3) if dilated else 1
    reach = (kernel - 1) * dilation + 1
    padding = g.one((0, 0), (reach // 2, reach // 2), (reach - 1 - (reach - 1) // 2, (reach - 1) // 2), (0, 1), (2, 1))
    return kernel, stride, dilation, (padding[0] + max(0, reach - size - sum(padding)), padding[1])


def _windows(g: Growth, x: Value) -> tuple[tuple[int, int], dict[str, object]]:
    down, across = (_window(g, size, dilated=True) for size in x.shape[1:3])
    if g.chance(0.7):
        across = down if x.shape[1] == x.shape[2] else across
    return (down[0], across[0]), {"strides": (down[1], across[1]), "dilation": (down[2], across[2]),
                                  "padding": (down[3], across[3])}


@move(4)
def convolution(g: Growth) -> None:
    x = g.image()
    kernel, options = _windows(g, x)
    channels = x.shape[3]
    groups = g.one(1, 1, 1, *(n for n in (2, 3, 4) if channels % n == 0))
    filters = groups * max(1, g.size() // groups)
    y = g.apply("conv2d", x, g.parameter(*kernel, channels // groups, filters), groups=groups, **options)
    _finish(g, y, filters)


@move(2)
def depthwise(g: Growth) -> None:
    x = g.image()
    kernel, options = _windows(g, x)
    multiplier = g.one(1, 1, 2)
    y = g.apply("depthwise_conv2d", x, g.parameter(*kernel, x.shape[3], multiplier), **options)
    _finish(g, y, x.shape[3] * multiplier)


@move(2)
def pooling(g: Growth) -> None:
    x = g.image()
    sides = [(g.one(1, 2, 2, 3), g.one(1, 2, 2, 3)) for _ in range(2)]
    padding = tuple((g.one(0, 0, pool // 2), g.one(0, 0, pool // 2)) for pool, _ in sides)
    g.apply(g.one("max_pool2d", "average_pool2d"), x, pool=tuple(pool for pool, _ in sides),
            strides=tuple(stride for _, stride in sides), padding=padding)


@move(2)
def batch_norm(g: Growth) -> None:
    x = g.any(lambda value: len(value.shape) in (2, 4) and value.shape[0] == Batch())
    if np.prod(g.arrays[x].shape[:-1]) < 4:  # the variance of so few examples is mostly rounding
        raise Unfit
    channels = x.shape[-1]
    y = g.apply("batch_norm", x, g.parameter(channels, domain=Domain(positive=True)), g.parameter(channels),
                epsilon=1e-3)
    if g.chance(0.5):
        g.apply("relu", y)


@move()
def softmax(g: Growth) -> None:
    g.apply("softmax", g.any(lambda value: len(value.shape) > 1))


@move(2)
def reduction(g: Growth) -> None:
    x = g.any(lambda value: len(value.shape) > 0)
    axes = tuple(axis for axis in range(len(x.shape)) if g.chance(0.5)) or (len(x.shape) - 1,)
    g.apply(g.one("reduce_sum", "reduce_mean", "reduce_max"), x, axes=axes, keepdims=g.chance(0.5))


@move(2)
def reshape(g: Growth) -> None:
    x = g.any(lambda value: len(value.shape) > 1 and value.shape[0] == Batch())
    rest = int(np.prod(x.shape[1:]))
    divisors = [n for n in range(1, rest + 1) if rest % n == 0]
    first = g.one(*divisors)
    left = rest // first
    second = g.one(*[n for n in divisors if left % n == 0])
    g.apply("reshape", x, shape=(Batch(), *g.one((rest,), (first, left), (first, second, left // second))))


@move()
def concatenation(g: Growth) -> None:
    x = g.any(lambda value: len(value.shape) > 1)
    axis = g.one(*range(1, len(x.shape)))
    y = g.any(lambda value: len(value.shape) == len(x.shape)
              and all(a == b for place, (a, b) in enumerate(zip(value.shape, x.shape, strict=True)) if place != axis))
    g.apply("concatenate", x, y, *([x] if g.chance(0.2) else []), axis=axis)


@move()
def part(g: Growth) -> None:
    x = g.any(lambda value: len(value.shape) > 1)
    axis = g.one(*range(1, len(x.shape)))
    first = int(g.random.integers(x.shape[axis]))
    g.apply("slice", x, axis=axis, start=first, stop=int(g.random.integers(first, x.shape[axis])) + 1)


@move()
def border(g: Growth) -> None:
    x = g.any(lambda value: len(value.shape) > 1)
    padding = ((0, 0), *((g.one(0, 0, 1, 2), g.one(0, 1)) for _ in x.shape[1:]))
    g.apply("pad", x, padding=padding, value=g.one(0.0, 0.0, -1.5))


@move()
def dropout(g: Growth) -> None:
    x = g.any(lambda value: len(value.shape) > 1)
    if "dropout" in registry.entries("op"):
        g.apply("dropout", x, rate=g.one(0.1, 0.5, 0.9), stream=g.one(0, 1, 7))


@move()
def cross_entropy(g: Growth) -> None:
    x = g.rows()
    g.apply("sparse_cross_entropy", x, g.input((Batch(),), "int32", Domain(below=x.shape[1])))


@move()
def gate(g: Growth) -> None:
    """An image times what its channels are on average."""
    x = g.image()
    g.apply("multiply", x, g.apply("sigmoid", g.apply("reduce_mean", x, axes=(1, 2), keepdims=True)))


@cache
def all_samples() -> tuple[tuple[str, Sample], ...]:
    """Of every registered op that only computes."""
    return tuple((name, sample) for name in registry.entries("op") for sample in find(name).samples
                 if not find(name).effect and not find(name).stateful and name not in ELSEWHERE)


@move(3)
def sample(g: Growth) -> None:
    """Any registered op as its sample has it: on values of the pool where they fit, else on new ones."""
    name, sample = g.one(*all_samples())
    inputs = []
    for index, shape in enumerate(sample.shapes):
        dtype = sample.dtypes[index] if sample.dtypes else "float32"
        domain = Domain(below=sample.integers.get(index, 0), positive=index in sample.positive)
        fitting = [value for value in g.pool if value.shape == shape and value.dtype == dtype]
        if fitting and name not in JUMPS and dtype == "float32" and not domain.positive:
            inputs.append(g.one(*fitting))
        else:
            inputs.append(g.input(shape, dtype, domain))
    made = g.apply(name, *inputs, **sample.attrs)
    if sample.differentiable == () and made.dtype == "float32":
        g.pool.remove(made)
        g.apply("stop_gradient", made)
