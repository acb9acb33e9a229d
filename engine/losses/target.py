"""The target of a job as losses and metrics see it: what it is, and how it is brought into the output's form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.types import Dim, times

EPSILON = 1e-7
"""Probabilities are kept this far from 0 and 1, as by keras.config.epsilon()."""


@dataclass(frozen=True)
class Target:
    """Of kind `classes`: an int32 code of `classes` for each example. Of kind `numeric`: float32 of `shape`."""

    kind: Literal["classes", "numeric"]
    classes: int | None
    shape: tuple[int, ...]


def as_output(b: GraphBuilder, target: Value, output: Value) -> Value:
    """The target as float32 in the output's shape: class codes become 0/1 for one output unit, one-hot for several."""
    if target.dtype == "int32":
        depth = output.shape[-1]
        target = b.op("scale", target) if depth == 1 else b.op("one_hot", target, depth=depth)
    return target if target.shape == output.shape else b.op("reshape", target, shape=output.shape)


def as_rows(b: GraphBuilder, target: Value, output: Value) -> Value:
    """Codes, int32 (batch,) or float32 of the output's shape without its last dimension, one-hot in that shape."""
    if target.dtype == "int32":
        return as_output(b, target, output)
    codes = b.op("reshape", target, shape=(*output.shape[:-1], 1))
    return b.op("equal", codes, b.constant(np.arange(output.shape[-1])))


def over_last(b: GraphBuilder, values: Value, op: str = "reduce_mean") -> Value:
    """The mean (or sum) over the last dimension; a value for each example stays as it is."""
    if values.type.rank == 1:
        return values
    return b.op(op, values, axes=(values.type.rank - 1,))


def per_example(b: GraphBuilder, values: Value) -> Value:
    """The mean over all dimensions but the batch: (batch,)."""
    if values.type.rank == 1:
        return values
    return b.op("reduce_mean", values, axes=tuple(range(1, values.type.rank)))


def complement(b: GraphBuilder, x: Value) -> Value:
    """1 - x."""
    return b.op("scale", x, factor=-1.0, offset=1.0)


def normalized(b: GraphBuilder, x: Value, axes: tuple[int, ...]) -> Value:
    """x / |x| over some dimensions, as keras.ops.normalize: a norm below 1e-7 counts as that."""
    norm = b.op("sqrt", b.op("maximum", b.op("reduce_sum", b.op("square", x), axes=axes, keepdims=True),
                             b.constant(1e-14)))
    return b.op("divide", x, norm)


def input_of(b: GraphBuilder, output: Value, op: str) -> Value | None:
    """What `op` was applied to, if that is how the value was computed."""
    node = b.producer(output)
    return node.inputs[0] if node is not None and node.op.name == op else None


def label_codes(b: GraphBuilder, target: Value) -> Value:
    """Class codes (batch,) of codes or of one row of scores for each example."""
    if target.dtype == "int32":
        return target if target.type.rank == 1 else b.op("reshape", target, shape=target.shape[:1])
    return b.op("argmax", target)


def elements(value: Value) -> Dim:
    """The number of elements of all examples."""
    batch, *others = value.shape
    return times(batch, math.prod(others))
