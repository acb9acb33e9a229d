"""Normal noise in training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net
from engine.layers.randomness import seed_option, stream
from engine.options import number, option
from engine.registry import register


@register("layer")
@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Layer):
    """In training, adds normal numbers of mean 0 and standard deviation `stddev`; otherwise does nothing.

    Input shape: any. Output shape: the input's.
    """

    stddev: float = option(number(minimum=0, maximum=1))
    seed: int | None = option(seed_option, default=None)

    supports_masking = True
    samples = (LayerSample({"stddev": 0.5}, ((7,),), (7,)), LayerSample({"stddev": 0}, ((2, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        drawn = stream(net, self.seed)
        if not net.training or not self.stddev:
            return x
        return net.b.op("add", x, net.b.op("random_normal", x, shape=x.shape, mean=0.0, stddev=self.stddev,
                                           stream=drawn))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class GaussianDropout(Layer):
    """In training, multiplies by normal numbers of mean 1 and variance rate / (1 - rate); otherwise does nothing.

    Input shape: any. Output shape: the input's.
    """

    rate: float = option(number(minimum=0, below=1))
    seed: int | None = option(seed_option, default=None)

    supports_masking = True
    samples = (LayerSample({"rate": 0.5}, ((7,),), (7,)), LayerSample({"rate": 0}, ((2, 3),), (2, 3)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        drawn = stream(net, self.seed)
        if not net.training or not self.rate:
            return x
        deviation = math.sqrt(self.rate / (1 - self.rate))
        return net.b.op("multiply", x, net.b.op("random_normal", x, shape=x.shape, mean=1.0, stddev=deviation,
                                                stream=drawn))
