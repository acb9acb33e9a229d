"""What normalisations share: options, scale and offset, and moments over any dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.constraints.base import Constraint
from engine.graph.ir import GraphBuilder, Value
from engine.initializers.base import Initializer
from engine.initializers.constant import Ones, Zeros
from engine.layers.base import Layer, Net, OptionMismatch, text
from engine.layers.weighted import constraint, initializer, regularizer
from engine.options import Reader, boolean, either, integer, number, option, sequence
from engine.regularizers.base import Regularizer

axis = integer(minimum=-8, maximum=8)
axes_reader: Reader = either(sequence(axis, minimum=1, maximum=8), axis)
"""A dimension, or a list of them."""


@dataclass(frozen=True, kw_only=True)
class Normalization(Layer):
    """A normalisation followed by gamma and beta, as `scale` and `center` say."""

    supports_masking = True

    epsilon: float = option(number(above=0), default=1e-3)
    center: bool = option(boolean, default=True)
    scale: bool = option(boolean, default=True)
    beta_initializer: Initializer = option(initializer, default=Zeros())
    gamma_initializer: Initializer = option(initializer, default=Ones())
    beta_regularizer: Regularizer | None = option(regularizer, default=None)
    gamma_regularizer: Regularizer | None = option(regularizer, default=None)
    beta_constraint: Constraint | None = option(constraint, default=None)
    gamma_constraint: Constraint | None = option(constraint, default=None)

    def gamma_and_beta(self, net: Net, shape: tuple[int, ...]) -> tuple[Value, Value]:
        """The weights, or ones and zeros in their place."""
        gamma = (net.weight("gamma", shape, self.gamma_initializer, regularizer=self.gamma_regularizer)
                 if self.scale else net.b.constant(np.ones(shape)))
        beta = (net.weight("beta", shape, self.beta_initializer, regularizer=self.beta_regularizer)
                if self.center else net.b.constant(np.zeros(shape)))
        return gamma, beta


def dimensions(x: Value, given: int | Sequence[int]) -> tuple[int, ...]:
    """An `axis` option as dimensions in their order. Raises OptionMismatch for the batch and what x does not have."""
    wanted = (given,) if isinstance(given, int) else tuple(given)
    rank = x.type.rank
    found = sorted({dim % rank for dim in wanted if -rank <= dim < rank})
    if len(found) != len(wanted) or 0 in found:
        raise OptionMismatch("axis", f"different dimensions of {text(x.shape)} other than the batch", given)
    return tuple(found)


def normalized(b: GraphBuilder, x: Value, axes: tuple[int, ...], gamma: Value, beta: Value, epsilon: float, *,
               centered: bool = True) -> Value:
    """(x - mean) / sqrt(variance + epsilon) gamma + beta over some dimensions; gamma and beta have their shape.

    Unless `centered`, the mean is 0 and the variance the mean square.
    """
    if axes == tuple(range(axes[0], x.type.rank)):
        return b.apply("row_norm", x, gamma, beta, epsilon=epsilon, centered=centered)[0]
    shape = tuple(dim if place in axes else 1 for place, dim in enumerate(x.shape))
    normal = standardized(b, x, axes, epsilon, centered=centered)
    scaled = b.op("multiply", normal, b.op("reshape", gamma, shape=shape))
    return b.op("add", scaled, b.op("reshape", beta, shape=shape))


def standardized(b: GraphBuilder, x: Value, axes: tuple[int, ...], epsilon: float, *, centered: bool = True) -> Value:
    """(x - mean) / sqrt(variance + epsilon) over any dimensions."""
    if centered:
        x = b.op("subtract", x, b.op("reduce_mean", x, axes=axes, keepdims=True))
    variance = b.op("reduce_mean", b.op("square", x), axes=axes, keepdims=True)
    return b.op("divide", x, b.op("sqrt", b.op("scale", variance, offset=epsilon)))
