"""Batch normalization (Ioffe and Szegedy, ICML 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.constant import Ones, Zeros
from engine.layers.base import LayerSample, Net, OptionMismatch, text
from engine.layers.normalization import Normalization
from engine.layers.weighted import initializer
from engine.ops.base import ShapeMismatch
from engine.options import integer, number, only, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class BatchNormalization(Normalization):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta for each channel.

    In training mean and variance (biased) are those of the batch, and the moving statistics follow them by
    `momentum`; otherwise, and in a layer that is not trainable, the moving statistics are used, as in Keras 3.
    Input shape: (batch, …, channels). Output shape: the input's.
    """

    axis: int = option(integer(minimum=-8), default=-1)
    momentum: float = option(number(minimum=0, maximum=1), default=0.99)
    moving_mean_initializer: Initializer = option(initializer, default=Zeros())
    moving_variance_initializer: Initializer = option(initializer, default=Ones())
    synchronized: bool = option(only(False, "a job trains on one machine"), default=False)
    renorm: bool = option(only(False, "renormalization is not supported"), default=False)
    renorm_clipping: Any = option(only(None, "renormalization is not supported"), default=None)
    renorm_momentum: float = option(number(minimum=0, maximum=1), default=0.99, doc="without effect without renorm")

    samples = (LayerSample({}, ((5,),), (5,), 20),
               LayerSample({"momentum": 0.9, "axis": 3}, ((3, 4, 2),), (3, 4, 2), 8),
               LayerSample({"center": False, "scale": False, "epsilon": 1e-5}, ((3, 4),), (3, 4), 8))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 2:
            raise ShapeMismatch("rank 2 or more (batch, …, channels)", text(x.shape))
        if self.axis not in (-1, x.type.rank - 1):
            raise OptionMismatch("axis", "-1, the last dimension", self.axis)
        b, shape = net.b, (x.shape[-1],)
        gamma, beta = self.gamma_and_beta(net, shape)
        mean = net.weight("moving_mean", shape, self.moving_mean_initializer, trainable=False)
        variance = net.weight("moving_variance", shape, self.moving_variance_initializer, trainable=False)
        if not (net.training and net.trainable):
            factor = b.op("divide", gamma, b.op("sqrt", b.op("scale", variance, offset=self.epsilon)))
            return b.op("add", b.op("multiply", x, factor), b.op("subtract", beta, b.op("multiply", mean, factor)))
        y, batch_mean, batch_variance = b.apply("batch_norm", x, gamma, beta, epsilon=self.epsilon)
        self._follow(net, mean, batch_mean)
        self._follow(net, variance, batch_variance)
        return y

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """`BatchNorm` also counts its batches."""
        return {**super().torch_state(variables), "num_batches_tracked": np.zeros((), np.int64)}

    def _follow(self, net: Net, moving: Value, new: Value) -> None:
        kept = net.b.op("scale", net.latest(moving), factor=self.momentum)
        net.update(moving, net.b.op("add", kept, net.b.op("scale", new, factor=1 - self.momentum)))
